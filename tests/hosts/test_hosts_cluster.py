"""Three control planes behind one address on real hosts: made, kept, taken apart and put together again.

The hosts are fed the program's own texts by SSH, with the values its engine would give them (`hosts_steps`). The tests
build on one another in the order they stand in.
"""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import suppress

import pytest
from bed import Bed, Host
from bed_bundle import Bundle
from bed_errors import CommandFailedError
from hosts_steps import Lab, StepFailedError, all_steps
from preparation import KUBELET, prepare

from components.nodes.config import NodesConfig
from components.nodes.steps import Step

Section = dict[str, object]
FAILOVER_SECONDS = 120
"""In which the endpoint answers again; two to four, but for a machine that does ten other things."""
ETCDCTL = (
    "etcdctl --command-timeout 60s --dial-timeout 30s --endpoints https://127.0.0.1:2379"
    " --cacert /etc/kubernetes/pki/etcd/ca.crt"
    " --cert /etc/kubernetes/pki/etcd/healthcheck-client.crt --key /etc/kubernetes/pki/etcd/healthcheck-client.key"
)
EVICTION = {"memory.available": "50Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"}
SETTINGS = {**KUBELET, "evictionHard": EVICTION, "imageGCHighThresholdPercent": 100}
KEYS = {"keyOne": base64.b64encode(b"1" * 32).decode(), "keyTwo": base64.b64encode(b"2" * 32).decode()}


@pytest.fixture(scope="module")
def lab(make_bed: Callable[[int], Bed], bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Generator[Lab]:
    """Four hosts; the first three are control planes, the fourth is bare."""
    with prepare(make_bed(4), bundle, tmp_path_factory.mktemp("bundle") / "bundle") as made:
        lab = Lab(made.bed, made.settings, {"url": made.mirror.url, "aptKey": made.apt_key}, secrets=KEYS)
        lab.up(section(lab, 0, 1, 2))
        yield lab


def section(lab: Lab, *planes: int, lost: tuple[int, ...] = (), **changes: object) -> NodesConfig:
    """Return the nodes section with these of the bed's hosts as control planes."""
    hosts: Section = {
        host.name: {
            "address": host.address,
            "roles": ["control-plane"],
            "hostKey": host.host_key,
            "hardware": {"cpus": 2, "memory": "8Gi", "ephemeralStorage": "10G"},
            "lost": index in lost,
        }
        for index, host in enumerate(lab.bed.hosts)
        if index in planes
    }
    plane: Section = {
        "kubeProxy": {"settings": {"conntrack": {"maxPerCore": 0, "min": 0}}},
        "ignorePreflight": ["SystemVerification"],
        "encryption": {"keys": [{"name": "one", "key": {"secret": "keyOne"}}]},
    }
    more = changes.pop("controlPlane", {})
    assert isinstance(more, dict)
    return NodesConfig.model_validate(
        {
            "ssh": {"user": "ubuntu"},
            "system": {"securityUpdates": "manual"},
            "kubelet": {"settings": SETTINGS},
            "mirror": lab.mirror,
            "endpoint": {"address": lab.bed.virtual_address},
            "upgrade": {"drainTimeout": "15s"},
            "hosts": hosts,
            "controlPlane": {**plane, **more},
            **changes,
        }
    )


def kubectl(host: Host, *arguments: str) -> str:
    return host.run(f"kubectl --kubeconfig /etc/kubernetes/admin.conf {' '.join(arguments)}", sudo=True).strip()


def etcd_members(host: Host) -> dict[str, tuple[str, bool]]:
    """Members by their peer address: their state, and whether they still learn."""
    rows = (line.split(", ") for line in host.run(f"{ETCDCTL} member list", sudo=True).splitlines())
    return {row[3].removeprefix("https://").removesuffix(":2380"): (row[1], row[5] == "true") for row in rows}


def names(host: Host) -> set[str]:
    return set(kubectl(host, "get", "nodes", "-o", "name").removeprefix("node/").replace("node/", "").split())


def holders(lab: Lab) -> list[Host]:
    """Hosts that have the virtual address."""
    return [
        host
        for host in lab.bed.hosts
        if host.running and f"inet {lab.bed.virtual_address}/" in host.run("ip -o addr show")
    ]


def ready(address: str) -> bool:
    asked = ["curl", "-sk", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", f"https://{address}:6443/readyz"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout == "200"


def wait_for(what: Callable[[], bool], seconds: float) -> float:
    """Return after how many seconds something was so; what cannot be asked at the moment is not."""
    start = time.monotonic()
    while True:
        with suppress(CommandFailedError):
            if what():
                return time.monotonic() - start
        assert time.monotonic() - start < seconds, "waited in vain"
        time.sleep(0.2)


def step(lab: Lab, config: NodesConfig, name: str, host: Host) -> Step:
    return next(step for step in all_steps(config, lab.settings) if step.key == (name, host.name))


def test_three_control_planes_answer_at_one_address(lab: Lab) -> None:
    first = lab.bed.hosts[0]
    assert names(first) == {host.name for host in lab.bed.hosts[:3]}
    assert etcd_members(first) == {host.address: ("started", False) for host in lab.bed.hosts[:3]}
    wait_for(lambda: len(holders(lab)) == 1, FAILOVER_SECONDS)
    wait_for(lambda: ready(lab.bed.virtual_address), FAILOVER_SECONDS)


def test_a_second_run_does_nothing_and_nothing_differs(lab: Lab) -> None:
    config = section(lab, 0, 1, 2)
    assert lab.up(config) == {}
    assert lab.check(config) == {}
    again = {
        s.resource: lab.run(s, config).changed
        for s in all_steps(config, lab.settings)
        if s.name in {"join", "control-plane"}
    }
    assert set(again.values()) == {()}


def test_another_bootstrap_host_runs_nothing(lab: Lab) -> None:
    assert lab.up(section(lab, 0, 1, 2, bootstrapHost=lab.bed.hosts[2].name)) == {}


def test_no_token_and_no_key_is_left_behind(lab: Lab) -> None:
    first = lab.bed.hosts[0]
    tokens = [
        "-n",
        "kube-system",
        "get",
        "secrets",
        "--field-selector",
        "type=bootstrap.kubernetes.io/token",
        "-o",
        "name",
    ]
    assert kubectl(first, *tokens) == ""
    for host in lab.bed.hosts[:3]:
        assert (
            host.run(
                "find /var/lib/research-compute /run -xdev -name key.pem -o -path '*research-compute-join*'", sudo=True
            )
            == ""
        )


def test_secrets_lie_encrypted_in_etcd(lab: Lab) -> None:
    first = lab.bed.hosts[0]
    kubectl(first, "create", "secret", "generic", "sealed", "--from-literal=word=opensesame")
    stored = first.run(f"{ETCDCTL} get /registry/secrets/default/sealed | tr -cd '[:print:]'", sudo=True)
    assert "k8s:enc:secretbox:v1:one:" in stored
    assert "opensesame" not in stored


def test_whoever_does_not_sign_in_learns_health_alone(lab: Lab) -> None:
    first = lab.bed.hosts[0]
    asked = "for p in livez readyz version api metrics; do curl -sk -o /dev/null -w '%{http_code} ' https://"
    answered = first.run(f"{asked}{first.address}:6443/$p; done").split()
    assert answered == ["200", "200", "200", "401", "401"]


def test_a_change_reaches_every_api_server_and_undoes_nothing(lab: Lab) -> None:
    config = section(lab, 0, 1, 2, controlPlane={"audit": "request", "san": ["api.lab.example.org"]})
    done = lab.up(config)
    assert set(done) == {f"{host.name}-control-plane" for host in lab.bed.hosts[:3]}
    assert all("static pod kube-apiserver" in changes for changes in done.values())
    for host in lab.bed.hosts[:3]:
        assert ready(host.address)
        certificate = host.run(
            "openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName", sudo=True
        )
        assert "DNS:api.lab.example.org" in certificate
    assert lab.check(config) == {}
    assert set(lab.up(section(lab, 0, 1, 2))) == set(done)


def test_an_encryption_key_writes_only_where_every_host_has_it(lab: Lab) -> None:
    def keys(*order: str) -> NodesConfig:
        listed = [{"name": name, "key": {"secret": f"key{name.title()}"}} for name in order]
        return section(lab, 0, 1, 2, controlPlane={"encryption": {"keys": listed}})

    with pytest.raises(StepFailedError, match="would write before every control-plane host can read it"):
        lab.up(keys("two", "one"))
    lab.up(keys("one", "two"))
    with pytest.raises(StepFailedError, match="keep it until every Secret is written anew"):
        lab.up(keys("two"))
    lab.up(keys("two", "one"))
    with pytest.raises(StepFailedError, match="Secrets may still be encrypted with the key one"):
        lab.up(keys("two"))
    said = "jsonpath={.items[*].metadata.annotations.research-compute/encryption-keys}"
    assert kubectl(lab.bed.hosts[0], "get", "nodes", "-o", said) == "two one two one two one"
    assert lab.up(keys("two", "one")) == {}


def test_the_endpoint_outlives_the_host_that_has_it(lab: Lab) -> None:
    wait_for(lambda: len(holders(lab)) == 1, FAILOVER_SECONDS)
    (holder,) = holders(lab)
    other = next(host for host in lab.bed.hosts[:3] if host is not holder)
    holder.power_off()
    wait_for(lambda: ready(lab.bed.virtual_address), FAILOVER_SECONDS)
    assert len(names(other)) == 3
    wait_for(lambda: len(holders(lab)) == 1, FAILOVER_SECONDS)
    (now,) = holders(lab)
    assert now is not holder
    # With one of three silent, another cannot leave: the last would be no majority of two.
    config = section(lab, 0, 1, 2, bootstrapHost=other.name)
    leaver = next(host for host in lab.bed.hosts[:3] if host not in (holder, other))
    with pytest.raises(StepFailedError, match="no majority"):
        lab.run(step(lab, config, "member", leaver), config, "undo")
    holder.boot()
    holder.wait_ready()
    wait_for(lambda: ready(holder.address), 240)


def test_the_host_that_began_the_cluster_is_replaced(lab: Lab) -> None:
    first, second, third, spare = lab.bed.hosts
    first.power_off()
    keys = {
        "encryption": {"keys": [{"name": name, "key": {"secret": f"key{name.title()}"}} for name in ("two", "one")]}
    }
    done = lab.up(section(lab, 0, 1, 2, 3, lost=(0,), controlPlane=keys))
    assert f"-{first.name}-member" in done
    assert names(second) == {second.name, third.name, spare.name}
    assert etcd_members(second) == {host.address: ("started", False) for host in (second, third, spare)}
    assert (
        kubectl(spare, "get", "secret", "sealed", "-o", "jsonpath={.data.word}")
        == base64.b64encode(b"opensesame").decode()
    )
    # Nobody else was asked to do anything but to know of the new one.
    assert {name for name in done if name.startswith((second.name, third.name))} == {
        f"{host.name}-load-balancer" for host in (second, third)
    }


def test_a_join_cut_off_while_its_etcd_learns_is_done_anew(lab: Lab) -> None:
    first, second, *_ = lab.bed.hosts
    keys = {
        "encryption": {"keys": [{"name": name, "key": {"secret": f"key{name.title()}"}} for name in ("two", "one")]}
    }
    config = section(lab, 0, 1, 2, 3, controlPlane=keys, bootstrapHost=second.name)
    first.boot()
    first.wait_ready()
    lab.forget(first.name)
    lab.run(step(lab, config, "join", first), config, "undo")
    lab.run(step(lab, config, "request", first), config, "undo")
    kubectl(second, "delete", "node", first.name, "--ignore-not-found")

    def cut_off() -> None:
        # kubeadm announces the member, writes its manifest, and promotes it once it has learned; here it never gets to.
        stop = "until [ -e /etc/kubernetes/manifests/etcd.yaml ]; do sleep 0.05; done; kill -STOP $(pgrep -x kubeadm)"
        first.console(stop, seconds=400)
        wait_for(lambda: etcd_members(second).get(first.address) == ("started", True), 300)
        first.console(
            "kill -KILL $(pgrep -x kubeadm) $(pgrep -f '[b]ash -s apply'); systemctl stop kubelet", check=False
        )

    with pytest.raises(StepFailedError):
        lab.up(config, meanwhile=cut_off)
    assert first.address in etcd_members(second)
    lab.up(config)
    assert etcd_members(second)[first.address] == ("started", False)
    assert first.name in names(second)
