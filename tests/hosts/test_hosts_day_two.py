"""Day two of a lab on real hosts: certificates, backups and the way back, encryption keys, another version."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import yaml
from bed import Host
from bed_bundle import PROBE, Bundle
from cluster_api import eventually
from hosts_lab import (
    DOOR,
    ENVIRONMENT,
    PATIENCE_SECONDS,
    SETTLING_SECONDS,
    HostsLab,
    connect_pods,
    rolled_out,
    serve_web,
    wait_for_nodes,
)

from stacks.pins import load_pins

NEXT = "v1.37.0"
"""The bundle's second version: the same source as the first, relabelled."""
ETCD = (
    "etcdctl --command-timeout 60s --dial-timeout 30s --endpoints https://127.0.0.1:2379 "
    "--cacert /etc/kubernetes/pki/etcd/ca.crt "
    "--cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key"
)
SILENCE_SECONDS = 15
"""For which a server with two pods may be silent while one of them goes: kube-proxy of every node has to learn it."""


@pytest.fixture(scope="module")
def lab(make_lab: Callable[[int], HostsLab]) -> HostsLab:
    """A control plane and two workers, with a web server that always has one pod."""
    lab = make_lab(2)
    lab.up()
    connect_pods(lab)
    wait_for_nodes(lab, 3)
    serve_web(lab)
    return lab


def plane(lab: HostsLab) -> Host:
    return lab.bed.hosts[0]


def change(lab: HostsLab, section: str, **values: object) -> None:
    """Change fields of a part of the nodes section."""
    part = lab.nodes.setdefault(section, {})
    assert isinstance(part, dict)
    part.update(values)  # pyright: ignore[reportUnknownMemberType] - a stack file's plain data


def refused(lab: HostsLab) -> str:
    """Bring the lab up, which must not succeed, and return what was said."""
    lab.write()
    done = lab.run("up", "--yes")
    assert done.code != 0, done.text
    return done.text


@contextmanager
def answering(lab: HostsLab) -> Generator[None]:
    """Ask the web server at both workers all the while; it may not be silent for longer than a moment."""
    done = threading.Event()
    silent: list[float] = []
    address = lab.bed.hosts[1].address, lab.bed.hosts[2].address

    def ask() -> None:
        last = time.monotonic()
        with ThreadPoolExecutor(len(address)) as pool:
            while not done.is_set():
                if any(pool.map(_answers, address)):
                    last = time.monotonic()
                silent.append(time.monotonic() - last)
                done.wait(0.3)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()
    assert max(silent) < SILENCE_SECONDS, f"nobody answered for {max(silent):.1f} s"


def _answers(address: str) -> bool:
    asked = subprocess.run(
        ["curl", "--silent", "--fail", "--max-time", "2", f"http://{address}:{DOOR}/"],  # noqa: S607 - the machine's curl
        capture_output=True,
        check=False,
    )
    return asked.returncode == 0 and b"web-" in asked.stdout


def served(lab: HostsLab, port: int) -> str:
    """Return what tells the certificate apart that is shown at a port of the control plane."""
    client = (
        "-cert /etc/kubernetes/pki/etcd/healthcheck-client.crt -key /etc/kubernetes/pki/etcd/healthcheck-client.key"
    )
    asked = f"openssl s_client -connect {plane(lab).address}:{port} {client} </dev/null 2>/dev/null"
    return plane(lab).run(f"{asked} | openssl x509 -noout -fingerprint -sha256", sudo=True).strip()


# --- certificates


def test_certificates_are_renewed_and_served(lab: HostsLab) -> None:
    before = served(lab, 6443), served(lab, 2379)
    kubeconfig = lab.kubeconfig().read_text(encoding="utf-8")
    change(lab, "certificates", renewal=1)
    lab.up()
    after = served(lab, 6443), served(lab, 2379)
    assert all("Fingerprint" in text for text in (*before, *after))
    assert not set(before) & set(after)
    assert lab.kubeconfig().read_text(encoding="utf-8") != kubeconfig
    assert len(lab.get("nodes")["items"]) == 3
    assert "Nothing to do" in lab.up().out


# --- backups


def names(lab: HostsLab, kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in lab.get(kind)["items"]}


def test_etcd_comes_back_as_it_was(lab: HostsLab) -> None:
    change(lab, "controlPlane", backup={"repository": "/srv/backup", "password": {"secret": "backupPassword"}})
    lab.up()
    host = plane(lab)
    lab.kubectl("create", "configmap", "before", "--from-literal=a=b")
    host.run("systemctl start research-compute-etcd-backup", sudo=True)
    lab.kubectl("create", "configmap", "after", "--from-literal=a=b")
    assert "etcd.db" in host.run("research-compute-etcd-restore --list", sudo=True)
    assert "correct horse" not in host.run("cat /etc/systemd/system/research-compute-*", sudo=True)

    said = host.run("research-compute-etcd-restore --snapshot latest", sudo=True, seconds=900)
    assert "etcd is back" in said
    eventually(lambda: "before" in names(lab, "configmaps"), SETTLING_SECONDS)
    assert "after" not in names(lab, "configmaps")
    # Whoever watched goes on: controllers, scheduler and kubelets bring new pods up.
    lab.kubectl("scale", "deployment/web", "--replicas=3")
    rolled_out(lab, "web")
    lab.kubectl("scale", "deployment/web", "--replicas=2")


def test_a_backup_that_fails_is_drift(lab: HostsLab) -> None:
    host = plane(lab)
    host.run("mv /srv/backup/config /srv/backup/config.away", sudo=True)
    host.run("mv /srv/backup/keys /srv/backup/keys.away; touch /srv/backup/keys", sudo=True)
    host.run("systemctl start research-compute-etcd-backup || true", sudo=True)
    assert "research-compute-etcd-backup.service failed" in lab.run("drift").text
    host.run("rm /srv/backup/keys; mv /srv/backup/keys.away /srv/backup/keys", sudo=True)
    host.run("mv -f /srv/backup/config.away /srv/backup/config", sudo=True)
    host.run("systemctl start research-compute-etcd-backup", sudo=True)


# --- encryption


def keys(*names: str, rewritten: str | None = None) -> dict[str, object]:
    secrets = {"one": "etcdKey1", "two": "etcdKey2"}
    listed = [{"name": name, **({"key": {"secret": secrets[name]}} if name in secrets else {})} for name in names]
    return {"keys": listed, **({"rewritten": rewritten} if rewritten else {})}


def stored(lab: HostsLab) -> str:
    """Return how a Secret lies in etcd: the beginning of its value."""
    raw = plane(lab).run(
        f"{ETCD} get /registry/secrets/default/canary --print-value-only | head -c 60 | od -An -c", sudo=True
    )
    return re.sub(r"\s+", "", raw)


def test_the_encryption_key_is_rotated_in_phases(lab: HostsLab) -> None:
    lab.kubectl("create", "secret", "generic", "canary", "--from-literal=a=b")
    assert stored(lab).startswith("k8s\\0")

    change(lab, "controlPlane", encryption=keys("one"))
    assert "the key one would write before every control-plane host can read it" in refused(lab)
    for phase in (keys("identity", "one"), keys("one"), keys("one", rewritten="one")):
        change(lab, "controlPlane", encryption=phase)
        lab.up()
    assert stored(lab).startswith("k8s:enc:secretbox:v1:one:")

    change(lab, "controlPlane", encryption=keys("two", "one"))
    assert "the key two would write before" in refused(lab)
    for phase in (keys("one", "two"), keys("two", "one")):
        change(lab, "controlPlane", encryption=phase)
        lab.up()
    change(lab, "controlPlane", encryption=keys("two"))
    assert "Secrets may still be encrypted with the key one" in refused(lab)
    for phase in (keys("two", "one", rewritten="two"), keys("two", rewritten="two")):
        change(lab, "controlPlane", encryption=phase)
        lab.up()
    assert stored(lab).startswith("k8s:enc:secretbox:v1:two:")
    assert lab.get("secret", "canary")["data"] == {"a": "Yg=="}
    old = plane(lab).run(
        f"{ETCD} get --prefix /registry/secrets --print-value-only | grep -ac enc:secretbox:v1:one || true", sudo=True
    )
    assert old.strip() == "0"


# --- another version


def pin(lab: HostsLab, bundle: Bundle, version: str, label: str | None = None) -> None:
    """Pin another version of Kubernetes; `label` is what it is called, where that differs from what it is."""
    pins = bundle.put_into(load_pins(ENVIRONMENT), version)
    text = yaml.safe_dump(pins.model_dump(mode="json", by_alias=True, exclude_none=True), sort_keys=False)
    if label is not None:
        text = text.replace(f"kubernetes: {version}\n", f"kubernetes: {label}\n")
    (lab.copy.root / "stacks" / "pins" / f"{ENVIRONMENT}.yaml").write_text(text, encoding="utf-8")


def versions(lab: HostsLab) -> set[str]:
    return {item["status"]["nodeInfo"]["kubeletVersion"] for item in lab.get("nodes")["items"]}


def test_a_minor_version_is_not_skipped(lab: HostsLab, bundle: Bundle) -> None:
    before = versions(lab)
    pin(lab, bundle, NEXT, "v1.38.0")
    assert "cannot skip to v1.38.0: one minor version at a time" in refused(lab)
    assert versions(lab) == before


def test_a_notebook_keeps_its_node_from_being_emptied(lab: HostsLab, bundle: Bundle) -> None:
    node = lab.bed.hosts[2].name
    overrides = f'{{"spec":{{"nodeName":"{node}","terminationGracePeriodSeconds":1}}}}'
    lab.kubectl("run", "notebook", f"--image={PROBE}", f"--overrides={overrides}", "--", "serve")
    lab.kubectl("wait", "pod/notebook", "--for=condition=Ready", f"--timeout={SETTLING_SECONDS}s")
    pin(lab, bundle, NEXT)
    with answering(lab):
        said = refused(lab)
    assert f"1 pods on {node} would not be started again anywhere: default/notebook" in said
    # What came before it in the chain is done, and stays.
    done = {item["metadata"]["name"] for item in lab.get("nodes")["items"]} - {node}
    assert all(lab.get("node", name)["status"]["nodeInfo"]["kubeletVersion"] == NEXT for name in done)
    assert lab.get("pod", "notebook")["status"]["phase"] == "Running"
    assert not lab.get("node", node)["spec"].get("unschedulable", False)


def test_an_upgrade_that_was_cut_off_comes_to_its_end(lab: HostsLab) -> None:
    host = lab.bed.hosts[2]
    change(lab, "upgrade", evictUnmanaged=True)
    lab.write()
    # Not before the node is really cordoned: the mark that it is to be comes first.
    ask = "kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node"
    cut_off = (
        "test -e /var/lib/research-compute/markers/cordoned &&"
        f' test "$({ask} {host.name} -o jsonpath={{.spec.unschedulable}})" = true'
        " && kill -9 $(cat /run/research-compute.lock) && exit"
    )
    cut = threading.Thread(
        target=host.run,
        args=(f"for attempt in $(seq {5 * PATIENCE_SECONDS}); do {cut_off}; sleep 0.2; done",),
        kwargs={"sudo": True, "check": False, "seconds": PATIENCE_SECONDS},
    )
    cut.start()
    with answering(lab):
        assert lab.run("up", "--yes").code != 0
        cut.join()
        assert lab.get("node", host.name)["spec"].get("unschedulable", False)
        lab.up()
    eventually(lambda: versions(lab) == {NEXT}, SETTLING_SECONDS)
    assert not any(item["spec"].get("unschedulable") for item in lab.get("nodes")["items"])
    (server,) = lab.get("pods", "-n", "kube-system", "-l", "component=kube-apiserver")["items"]
    assert server["spec"]["containers"][0]["image"].endswith(NEXT)
    assert "Nothing to do" in lab.up().out


def test_there_is_no_way_back(lab: HostsLab, bundle: Bundle) -> None:
    pin(lab, bundle, next(version for version in bundle.files if version != NEXT))
    assert "cannot go back to" in refused(lab)
    assert versions(lab) == {NEXT}
