"""Where pods go and which one dies, on real hosts: the scheduler's profiles on day two, lax and strict servers."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from bed_bundle import PROBE
from cluster_api import Object, eventually
from hosts_lab import SETTLING_SECONDS, HostsLab, connect_pods, wait_for_nodes
from hub_servers import hub_section, server_pod

from components.hub.config import HubConfig
from components.nodes.scheduler_plan import SCHEDULER_FILES
from components.quantities import Size
from components.scheduling.plan import PACKING

ROOM_MEBIBYTES = 400
"""Memory that the worker's pods have together: enough for a few small servers, little for the machine of the tests."""
DROP_IN = "/etc/kubernetes/kubelet.conf.d/95-small.conf"
"""Makes the worker a node of `ROOM_MEBIBYTES`, whatever the machine has: an even stronger reservation than ours."""
MEBIBYTE = 2**20
LIMIT_FILE = "/sys/fs/cgroup/memory/kubepods.slice/memory.limit_in_bytes"
LAX = hub_section("lax", {"notebook": {"guarantee": {"cpu": "20m", "memory": "16Mi"}}})


@pytest.fixture(scope="module")
def lab(make_lab: Callable[[int], HostsLab]) -> HostsLab:
    """A control plane and a worker, with a scheduler that is told nothing."""
    lab = make_lab(1)
    lab.up()
    connect_pods(lab)
    wait_for_nodes(lab, 2)
    # Nobody asks for names here, and the worker's memory is counted by the MiB.
    lab.kubectl("scale", "deployment/coredns", "--namespace=kube-system", "--replicas=0")
    return lab


def static_pod(lab: HostsLab, component: str) -> Object:
    return lab.get("pod", f"{component}-{lab.bed.hosts[0].name}", "--namespace=kube-system")


def started(pod: Object) -> str:
    """Return what tells one start of a static pod from another."""
    return (
        pod["metadata"]["annotations"]["kubernetes.io/config.hash"]
        + pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    )


def command(pod: Object) -> list[str]:
    return pod["spec"]["containers"][0]["command"]


def test_the_section_restarts_the_scheduler_and_nothing_else(lab: HostsLab) -> None:
    before = {name: started(static_pod(lab, name)) for name in ("etcd", "kube-apiserver", "kube-controller-manager")}
    assert not any("--config=" in word for word in command(static_pod(lab, "kube-scheduler")))
    lab.sections["scheduling"] = {"interactive": "spread"}
    done = lab.up().out
    assert "1 updated" in done, done
    scheduler = static_pod(lab, "kube-scheduler")
    assert [word for word in command(scheduler) if word.startswith(f"--config={SCHEDULER_FILES}/")]
    assert "--leader-elect=true" in command(scheduler)
    assert {name: started(static_pod(lab, name)) for name in before} == before
    holder = eventually(
        lambda: lab.get("lease", "kube-scheduler", "--namespace=kube-system")["spec"].get("holderIdentity"), 60
    )
    assert holder.startswith(lab.bed.hosts[0].name)
    assert "Nothing to do" in lab.up().out


def test_both_profiles_place_pods(lab: HostsLab) -> None:
    for scheduler in (PACKING, "default-scheduler"):
        name = f"on-{scheduler}"
        start(lab, LAX, name, 8, scheduler=scheduler)
        events = lab.get("events", f"--field-selector=involvedObject.name={name},reason=Scheduled")["items"]
        assert [event["reportingComponent"] or event["source"]["component"] for event in events] == [scheduler]
        stop(lab, name)


def test_a_scheduler_that_cannot_start_is_put_back(lab: HostsLab) -> None:
    """What a lab's own patch of the program could do: the scheduler refuses the file, and the former one goes on."""
    components = lab.copy.root / "components"
    plan, script = components / "scheduling" / "plan.py", components / "nodes" / "files" / "control-plane.sh"
    sound = {path: path.read_text(encoding="utf-8") for path in (plan, script)}
    plan.write_text(sound[plan].replace('"type": "MostAllocated"', '"type": "Fullest"'), encoding="utf-8")
    # It would wait for four minutes.
    script.write_text(sound[script].replace("SECONDS + READY_SECONDS", "SECONDS + 45"), encoding="utf-8")
    lab.write()
    failed = lab.run("up", "--yes")
    assert failed.code != 0
    assert "kube-scheduler did not come up with its new configuration" in failed.text
    start(lab, LAX, "meanwhile", 8, scheduler=PACKING)
    stop(lab, "meanwhile")
    former = started(static_pod(lab, "kube-scheduler"))
    for path, text in sound.items():
        path.write_text(text, encoding="utf-8")
    lab.up()
    assert started(static_pod(lab, "kube-scheduler")) == former
    files = lab.bed.hosts[0].run(f"ls {SCHEDULER_FILES}", sudo=True).split()
    assert {f"--config={SCHEDULER_FILES}/{file}" for file in files} & set(command(static_pod(lab, "kube-scheduler")))


def test_under_the_lax_policy_the_largest_dies_and_the_others_live(lab: HostsLab) -> None:
    """The last straw is another's: a third server asks for what is not there, and the largest goes."""
    shrink(lab, eviction=10)
    kubelet = kubelet_process(lab)
    start(lab, LAX, "largest", 240)
    start(lab, LAX, "small", 30)
    assert lab.get("pod", "largest")["spec"]["containers"][0]["resources"].get("limits", {}) == {}
    start(lab, LAX, "last", 140)
    eventually(lambda: "OOMKilled" in ends(lab, "largest"), SETTLING_SECONDS)
    assert (ends(lab, "small"), ends(lab, "last")) == ([], [])
    assert kubelet_process(lab) == kubelet
    stop(lab, "largest", "small", "last")


def test_under_the_strict_policy_one_beyond_its_limit_dies_alone(lab: HostsLab) -> None:
    resources = {"guarantee": {"cpu": "20m", "memory": "16Mi"}, "limit": {"cpu": "1", "memory": "80Mi"}}
    strict = hub_section("strict", {"notebook": resources})
    start(lab, strict, "within", 50)
    # There is room for it, and it may not have it.
    start(lab, strict, "beyond", 120, waits=False)
    eventually(lambda: "OOMKilled" in ends(lab, "beyond"), SETTLING_SECONDS)
    assert ends(lab, "within") == []
    stop(lab, "within", "beyond")


def test_whoever_is_beyond_its_guarantee_is_evicted_before_a_larger_one_that_is_not(lab: HostsLab) -> None:
    """Memory that runs short slowly is the kubelet's to free, before the kernel has to."""
    resources = {"guarantee": {"cpu": "20m", "memory": "160Mi"}}
    config = hub_section("lax", {"notebook": LAX.profiles[0].resources.model_dump(mode="json"), "large": resources})
    start(lab, config, "guaranteed", 140, profile="large")
    start(lab, config, "greedy", 110)
    shrink(lab, eviction=180)
    eventually(lambda: is_evicted(lab, "greedy"), SETTLING_SECONDS)
    assert not is_evicted(lab, "guaranteed")
    assert ends(lab, "guaranteed") == []
    assert lab.get("pod", "guaranteed")["status"]["phase"] == "Running"
    stop(lab, "greedy", "guaranteed")


def test_without_the_section_the_scheduler_is_as_before(lab: HostsLab) -> None:
    del lab.sections["scheduling"]
    lab.up()
    assert not any("--config=" in word for word in command(static_pod(lab, "kube-scheduler")))
    lab.bed.hosts[0].run(f"test ! -e {SCHEDULER_FILES}", sudo=True)


def start(  # noqa: PLR0913 - what a server of these tests differs in
    lab: HostsLab,
    config: HubConfig,
    name: str,
    mebibytes: int,
    *,
    profile: str = "notebook",
    scheduler: str | None = None,
    waits: bool = True,
) -> None:
    """Have a server as the hub makes it fill so much memory, and wait until it has."""
    pod = server_pod(config, profile, name, scheduler=scheduler)
    pod["metadata"]["name"] = name
    # Started anew, it would fill the same room while it is the smaller one for a moment, and another would end for it.
    pod["spec"]["restartPolicy"] = "Never"
    container = pod["spec"]["containers"][0]
    container |= {"image": PROBE, "imagePullPolicy": "IfNotPresent", "command": ["/probe", "eat", str(mebibytes)]}
    lab.kubectl("apply", "-f", "-", text=json.dumps(pod))
    if waits:
        eventually(lambda: is_running(lab, name) and "full" in lab.kubectl("logs", name), SETTLING_SECONDS)


def stop(lab: HostsLab, *names: str) -> None:
    lab.kubectl("delete", "pod", *names, "--now")


def is_running(lab: HostsLab, name: str) -> bool:
    return any("running" in status["state"] for status in statuses(lab, name))


def statuses(lab: HostsLab, name: str) -> list[Object]:
    return lab.get("pod", name)["status"].get("containerStatuses", [])


def ends(lab: HostsLab, name: str) -> list[str]:
    """Return why a server's container has ended, as far as it has."""
    return [
        state["terminated"]["reason"]
        for status in statuses(lab, name)
        for state in (status["state"], status["lastState"])
        if "terminated" in state
    ]


def is_evicted(lab: HostsLab, name: str) -> bool:
    """Return whether the kubelet has ended a server; its phase is what its process made of that."""
    conditions = lab.get("pod", name)["status"].get("conditions", [])
    ended = [item["reason"] for item in conditions if item["type"] == "DisruptionTarget"]
    return ended == ["TerminationByKubelet"]


def kubelet_process(lab: HostsLab) -> str:
    """Return the worker's kubelet's process and how often it was started, asked by SSH."""
    return lab.bed.hosts[1].run("systemctl show kubelet --property=MainPID,NRestarts")


def shrink(lab: HostsLab, *, eviction: int) -> None:
    """Leave `ROOM_MEBIBYTES` to the worker's pods, and let it evict when fewer than so many of them are free."""
    node = lab.bed.hosts[1]
    has = Size.parse(lab.get("node", node.name)["status"]["capacity"]["memory"]).bytes // MEBIBYTE
    reserved = {"kubeReserved": {"memory": "100Mi"}, "systemReserved": {"memory": f"{has - 100 - ROOM_MEBIBYTES}Mi"}}
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        **reserved,
        "evictionHard": {"memory.available": f"{eviction}Mi"},
    }
    node.run(f"cat > {DROP_IN} && systemctl restart kubelet", sudo=True, text=json.dumps(settings))
    wanted = ROOM_MEBIBYTES - eviction

    def is_small() -> bool:
        found = lab.get("node", node.name)["status"]
        allocatable = Size.parse(found["allocatable"]["memory"]).bytes // MEBIBYTE
        ready = any(item["type"] == "Ready" and item["status"] == "True" for item in found["conditions"])
        return ready and abs(allocatable - wanted) <= 1

    eventually(is_small, SETTLING_SECONDS)
    limit = int(node.run(f"cat {LIMIT_FILE}", sudo=True))
    assert abs(limit // MEBIBYTE - ROOM_MEBIBYTES) <= 1, "the kubelet does not hold its pods together within their room"
