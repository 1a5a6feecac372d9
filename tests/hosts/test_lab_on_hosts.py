"""A lab on real hosts from its stack file: labctl brings it up, changes it, and takes hosts in and out."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

import pytest
import yaml
from bed import Host
from cluster_api import eventually
from hosts_lab import SETTLING_SECONDS, WEB, HostsLab, connect_pods, rolled_out, serve_web, wait_for_nodes


@pytest.fixture(scope="module")
def lab(make_lab: Callable[[int, int], HostsLab]) -> HostsLab:
    """A control plane and two workers, up, with pods that can talk; a third worker stands beside it, bare."""
    lab = make_lab(2, 1)
    lab.up()
    connect_pods(lab)
    wait_for_nodes(lab, 3)
    serve_web(lab)
    return lab


def logins(host: Host) -> int:
    """Return how often somebody has signed in to a host since it booted."""
    seen = host.console("journalctl --sync; journalctl -u ssh --no-pager | grep -c 'Accepted publickey' || true")
    return int(seen.strip())


def answers(lab: HostsLab, seconds: float = SETTLING_SECONDS) -> str:
    """Return what the web server says through its Service to a pod, by its name, before so many seconds are over."""
    pod = lab.get("pods", "-l", "app=web", "--field-selector=status.phase=Running")["items"][0]["metadata"]["name"]
    # Every node's kube-proxy learns by itself of what changed, and on a busy machine late.
    return eventually(lambda: asked(lab, pod), seconds)


def asked(lab: HostsLab, pod: str) -> str | None:
    """Return what the web server says to a pod, or nothing when it does not answer."""
    try:
        return lab.kubectl("exec", pod, "--", "/probe", "get", "http://web.default.svc.cluster.local/")
    except AssertionError:
        return None


def test_pods_answer_each_other(lab: HostsLab) -> None:
    heard: set[str] = set()

    def both_were_heard() -> bool:
        # A node's kube-proxy may know of one pod before it knows of the other.
        heard.add(answers(lab).split()[0])
        return len(heard) == 2

    eventually(both_were_heard, SETTLING_SECONDS)


def test_again_there_is_nothing_to_do(lab: HostsLab) -> None:
    before = [logins(host) for host in lab.bed.hosts]
    assert "Nothing to do" in lab.up().out
    assert [logins(host) for host in lab.bed.hosts] == before, "a host was asked something"


def test_no_secret_lies_open(lab: HostsLab) -> None:
    state = json.dumps(lab.copy.deployment())
    for name, value in lab.secrets().items():
        if name != "sudoPassword":
            assert value.splitlines()[-2 if "KEY" in value else 0] not in state, name
    kubeconfig = yaml.safe_load(lab.kubeconfig().read_text(encoding="utf-8"))
    key = kubeconfig["users"][0]["user"]["client-key-data"]
    assert key[:200] not in state
    assert base64.b64decode(key).decode().splitlines()[1] not in state


def test_one_value_changes_one_step_of_every_host(lab: HostsLab) -> None:
    lab.nodes["system"] = {"securityUpdates": "manual", "sysctls": {"net.core.rmem_max": "4194304"}}
    lab.write()
    preview = lab.run("preview").out
    assert "3 to update" in preview, preview
    assert "net.core.rmem_max" in preview
    assert "3 updated" in lab.up().out
    assert lab.bed.hosts[1].run("cat /proc/sys/net/core/rmem_max").strip() == "4194304"


def test_changed_scripts_run_again_and_undo_nothing(lab: HostsLab) -> None:
    files = lab.copy.root / "components" / "nodes" / "files"
    for script in files.glob("*.sh"):
        script.write_text(script.read_text(encoding="utf-8") + "\n# a later version\n", encoding="utf-8")
    pods = {pod["metadata"]["uid"] for pod in lab.get("pods", "-A")["items"]}
    done = lab.up()
    assert re.search(r"[2-9]\d updated", done.out), done.out
    assert "replaced" not in done.out
    assert {pod["metadata"]["uid"] for pod in lab.get("pods", "-A")["items"]} == pods, "a pod was started anew"
    assert "later" in answers(lab) or answers(lab)


def test_a_host_more_asks_nothing_of_the_other_workers(lab: HostsLab) -> None:
    plane, one, two, new = lab.bed.hosts
    before = {host.name: logins(host) for host in (plane, one, two)}
    lab.hosts[new.name] = lab.entry(new, "worker")
    done = lab.up()
    assert "updated" not in done.out
    assert logins(one) == before[one.name]
    assert logins(two) == before[two.name]
    assert logins(plane) - before[plane.name] == 1, "more than one command ran on the control plane"
    connect_pods(lab)
    wait_for_nodes(lab, 4)


def test_leaving_has_to_be_named_and_keeps_budgets(lab: HostsLab) -> None:
    gone = lab.bed.hosts[2]
    entry = lab.hosts.pop(gone.name)
    lab.write()
    refused = lab.run("up", "--yes")
    assert refused.code == 4
    assert f"a node of the cluster (bootstrap-{gone.name})" in refused.text
    lab.up("--allow-destroy", f"*-{gone.name}-join")
    assert gone.name not in {node["metadata"]["name"] for node in lab.get("nodes")["items"]}
    rolled_out(lab, "web")
    assert answers(lab)
    assert gone.run("test -e /etc/kubernetes/kubelet.conf && echo member || echo bare", sudo=True).strip() == "bare"
    lab.hosts[gone.name] = entry
    lab.up()
    connect_pods(lab)
    wait_for_nodes(lab, 4)


def test_a_machine_that_died_is_only_said_to_be_lost(lab: HostsLab) -> None:
    dead = lab.bed.hosts[3]
    dead.power_off()
    lab.hosts[dead.name]["lost"] = True
    lab.up()
    assert dead.name not in {node["metadata"]["name"] for node in lab.get("nodes")["items"]}
    del lab.hosts[dead.name]
    assert "deleted" in lab.up().out
    assert dead.name not in json.dumps(lab.copy.deployment())
    wait_for_nodes(lab, 3)
    assert answers(lab)


def test_destroy_leaves_the_machines_bare(lab: HostsLab) -> None:
    lab.kubectl("delete", "-f", "-", text=WEB)
    ended = lab.run("destroy", "--yes", "--allow-destroy", "*")
    assert ended.code == 0, ended.text[-4000:]
    for host in lab.bed.hosts[:3]:
        left = host.run(
            "find /etc/kubernetes /var/lib/etcd /var/lib/kubelet /etc/research-compute -type f 2>/dev/null || true",
            sudo=True,
        )
        assert left.split() == [], host.name
