"""The lab of the stack file `dev`, deployed as a person deploys it: what is there then, and what an edit does."""

from __future__ import annotations

import base64
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

import pytest
from cluster_api import Api, Object, eventually
from lab_copy import Ended, LabCopy
from lab_facts import Key, inventory, objects_of_ours, state_of, versions
from lab_flows import LabWorld

from labctl.control_plane.errors import ApiRequestError
from labctl.graph.canonical import canonical
from labctl.graph.goal import Goal, urn_name
from labctl.graph.record import record
from labctl.graph.values import Plain, Secret, Unknown, Value, as_mapping, as_text
from labctl.lab import open_lab
from labctl.network_policies.reading import read_policy
from labctl.network_policies.verdicts import Cluster

HUB = "hub-dev"
"""Namespace of the hub, where notebook servers run."""
RELEASES = 8
"""Charts of the dev lab."""
GPU_NODES = {
    "gpu-1": {"nvidia.com/mig-1g.10gb": "8", "nvidia.com/mig-3g.40gb": "2"},
    "gpu-2": {"nvidia.com/mig-1g.10gb": "7", "nvidia.com/gpu": "1"},
}
"""What the layouts in the stack file come to: 2 x (4 + 1), and (7, none)."""


@dataclass(frozen=True)
class Deployed:
    """The copy after `labctl up` on nothing, and what that printed."""

    lab: LabCopy
    up: Ended

    @property
    def api(self) -> Api:
        return self.lab.api


@pytest.fixture(scope="module")
def deployed(project_copy: LabCopy) -> Deployed:
    return Deployed(project_copy, project_copy.well("up", "--yes"))


@pytest.fixture
def stack_file(deployed: Deployed) -> Generator[LabCopy]:
    """A lab whose stack file a test may edit: afterwards file and cluster are as before."""
    before = deployed.lab.file.read_text(encoding="utf-8")
    yield deployed.lab
    deployed.lab.file.write_text(before, encoding="utf-8")
    deployed.lab.well("up", "--yes", "--refresh")


def goals(lab: LabCopy) -> list[Goal]:
    """Return what the program of the copy asks for."""
    return list(record(open_lab(lab.stack, lab.root).program()).goals)


def kubernetes_objects(lab: LabCopy) -> list[Goal]:
    return [goal for goal in goals(lab) if goal.type.startswith("kubernetes:") and not goal.type.endswith(":Release")]


def differing(wanted: Value, found: Plain, path: str = "") -> Iterator[str]:
    """Yield where `found` has not what is wanted; what is secret or only known later is only required to be there."""
    if isinstance(wanted, dict):
        items = found if isinstance(found, dict) else {}
        for name, value in wanted.items():
            if name not in items and value in ("", False, 0):
                continue  # the server leaves out what is empty
            if name not in items:
                yield f"{path}.{name} is missing"
            else:
                yield from differing(value, items[name], f"{path}.{name}")
    elif isinstance(wanted, list):
        entries = found if isinstance(found, list) else []
        if len(entries) != len(wanted):
            yield f"{path} has {len(entries)} items, not {len(wanted)}"
        for index, (value, entry) in enumerate(zip(wanted, entries, strict=False)):
            yield from differing(value, entry, f"{path}[{index}]")
    elif not isinstance(wanted, (Secret, Unknown)) and wanted != found:
        yield f"{path} is {found!r}, not {wanted!r}"


# -- what is there ----------------------------------------------------------------------------------------------------


def test_up_says_what_it_did_what_exists_and_what_it_took(deployed: Deployed) -> None:
    up, count = deployed.up, len(goals(deployed.lab))
    assert f"Done: + {count} created." in up.out
    assert "Engine " in up.out
    assert ", all " in up.out
    for component in ("NodeLabels nodes", "Networking network", "Storage storage", "GpuOperator gpu", "Hub hub"):
        assert component in up.out
    assert up.out.count("│ recorded") == RELEASES
    assert "not installed, since its chart cannot be reached" in up.out
    for node in ("cp-1", "gpu-1", "gpu-2", "worker-1", "worker-2"):
        assert node in up.out
    assert "kubectl" in up.out, "what to look at next"
    assert "Traceback" not in up.text


def test_every_node_is_ready_with_its_slices(deployed: Deployed) -> None:
    nodes = {node["metadata"]["name"]: node["status"] for node in deployed.api.get("/api/v1/nodes")["items"]}
    assert set(nodes) == {"cp-1", "worker-1", "worker-2", *GPU_NODES}, "the storage host is no node"
    for name, status in nodes.items():
        ready = [condition["status"] for condition in status["conditions"] if condition["type"] == "Ready"]
        assert ready == ["True"], name
        gpus = {key: value for key, value in status["allocatable"].items() if key.startswith("nvidia.com/")}
        assert gpus == GPU_NODES.get(name, {})


def test_every_object_of_the_program_is_in_the_api_server_with_its_fields(deployed: Deployed) -> None:
    there = inventory(deployed.api)
    wanted = kubernetes_objects(deployed.lab)
    assert len(wanted) > 70
    missing: list[str] = []
    for goal in wanted:
        meta = as_mapping(goal.inputs["metadata"])
        namespace, name = as_text(meta.get("namespace")), as_text(meta["name"])
        kind = goal.type.rsplit(":", 1)[-1].removesuffix("Patch")
        item = there.get(Key(as_text(goal.inputs.get("apiVersion")), kind, namespace, name))
        if item is None:
            missing.append(f"{kind} {namespace}/{name}")
            continue
        inputs = {key: value for key, value in goal.inputs.items() if key not in ("apiVersion", "kind", "stringData")}
        missing += [f"{kind} {name}: {where}" for where in differing(inputs, item)]
    assert not missing, "\n".join(missing)


def test_nothing_else_was_made(deployed: Deployed) -> None:
    names = {urn_name(goal.urn) for goal in kubernetes_objects(deployed.lab)}
    assert len(names) == len(kubernetes_objects(deployed.lab))
    nodes = [goal for goal in kubernetes_objects(deployed.lab) if goal.type.endswith("NodePatch")]
    patched = {as_text(as_mapping(goal.inputs["metadata"])["name"]) for goal in nodes}
    expected = len(names) - len(nodes) + len(patched)
    assert len(objects_of_ours(deployed.api)) == expected


def test_the_state_holds_every_resource_once_and_nothing_unfinished(deployed: Deployed) -> None:
    held = {urn for urn, item in state_of(deployed.lab).items() if "::default" not in urn or item["custom"] is False}
    assert held >= {goal.urn for goal in goals(deployed.lab)}
    assert not deployed.lab.journal.exists()
    assert not deployed.lab.locks


def test_a_second_up_has_nothing_to_do_and_writes_nothing(deployed: Deployed) -> None:
    before, state = versions(deployed.api), deployed.lab.state.read_bytes()
    again = deployed.lab.well("up", "--yes")
    assert "Nothing to do: " in again.out
    assert "GpuOperator gpu" in again.out, "what exists is shown again"
    assert versions(deployed.api) == before
    assert deployed.lab.state.read_bytes() == state


def test_nothing_has_drifted(deployed: Deployed) -> None:
    deployed.lab.well("preview", "--refresh", "--expect-no-changes")


def test_the_table_of_flows_is_true_by_the_policies_that_the_api_server_has(deployed: Deployed) -> None:
    listed = deployed.api.get("/apis/networking.k8s.io/v1/networkpolicies")["items"]
    namespaces = {
        item["metadata"]["name"]: item["metadata"]["labels"] for item in deployed.api.get("/api/v1/namespaces")["items"]
    }
    assert {f"hub-{deployed.lab.stack}", "kube-system"} <= namespaces.keys()
    # A namespace of nobody's, beside the lab's own.
    namespaces["somebody"] = {"kubernetes.io/metadata.name": "somebody"}
    cluster = Cluster(namespaces=namespaces, policies=[read_policy(item) for item in listed])
    assert LabWorld(deployed.lab.stack).wrong(cluster) == []


# -- pods --------------------------------------------------------------------------------------------------------------


def notebook(name: str, limits: Mapping[str, str], **container: object) -> Object:
    """Return a notebook server's pod, as KubeSpawner makes it as far as admission and the scheduler look."""
    security = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    resources = {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": dict(limits)}
    main = {"name": "notebook", "image": "i", "securityContext": security, "resources": resources, **container}
    labels = {"component": "singleuser-server"}
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}] if limits else []
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [main], "tolerations": tolerations}}


@pytest.fixture
def pods(deployed: Deployed) -> Generator[str]:
    path = f"/api/v1/namespaces/{HUB}/pods"
    yield path
    for pod in deployed.api.get(path)["items"]:
        deployed.api.delete(f"{path}/{pod['metadata']['name']}?gracePeriodSeconds=0")


@pytest.mark.parametrize(
    ("resource", "nodes"),
    [
        ("nvidia.com/mig-1g.10gb", {"gpu-1", "gpu-2"}),
        ("nvidia.com/mig-3g.40gb", {"gpu-1"}),
        ("nvidia.com/gpu", {"gpu-2"}),
    ],
)
def test_a_notebook_that_asks_for_a_slice_is_bound_to_a_node_that_has_one(
    deployed: Deployed, pods: str, resource: str, nodes: set[str]
) -> None:
    deployed.api.post(pods, notebook("sliced", {resource: "1"}))
    eventually(lambda: deployed.api.get(f"{pods}/sliced")["spec"].get("nodeName"))
    assert deployed.api.get(f"{pods}/sliced")["spec"]["nodeName"] in nodes


def test_a_notebook_that_asks_for_a_slice_nobody_has_stays_pending_and_says_why(deployed: Deployed, pods: str) -> None:
    deployed.api.post(pods, notebook("hopeless", {"nvidia.com/mig-7g.80gb": "1"}))

    def conditions() -> list[Object]:
        return deployed.api.get(f"{pods}/hopeless")["status"].get("conditions", [])

    eventually(lambda: [item for item in conditions() if item["type"] == "PodScheduled"])
    (scheduled,) = [item for item in conditions() if item["type"] == "PodScheduled"]
    assert scheduled["status"] == "False"
    assert "Insufficient nvidia.com/mig-7g.80gb" in scheduled["message"]
    pod = deployed.api.get(f"{pods}/hopeless")
    assert pod["status"]["phase"] == "Pending"
    assert not pod["spec"].get("nodeName")


def test_no_more_slices_are_given_out_than_there_are(deployed: Deployed, pods: str) -> None:
    names = [f"half-{number}" for number in range(3)]
    for name in names:
        deployed.api.post(pods, notebook(name, {"nvidia.com/mig-3g.40gb": "1"}))

    def decided() -> list[bool]:
        found = [deployed.api.get(f"{pods}/{name}") for name in names]
        return [bool(pod["spec"].get("nodeName")) for pod in found if pod["status"].get("conditions")]

    eventually(lambda: len(decided()) == len(names) and sum(decided()) >= 2)
    assert sum(decided()) == 2, "the layout makes two of them"


@pytest.mark.parametrize(
    "container",
    [
        {"securityContext": {"privileged": True}},
        {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}},
        {"ports": [{"containerPort": 80, "hostPort": 80}]},
    ],
    ids=["privileged", "capability", "host port"],
)
def test_a_notebook_that_reaches_for_the_host_is_refused(
    deployed: Deployed, pods: str, container: Mapping[str, object]
) -> None:
    with pytest.raises(ApiRequestError, match="PodSecurity"):
        deployed.api.post(pods, notebook("greedy", {}, **container))


# -- strictness, secrets, exports -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind", "spec", "typo"),
    [
        (
            "metallb.io/v1beta1/namespaces/metallb-dev/ipaddresspools",
            "IPAddressPool",
            {"addresses": ["10.20.0.230/32"], "autoasign": False},
            "autoasign",
        ),
        (
            "cert-manager.io/v1/namespaces/gateway-dev/certificates",
            "Certificate",
            {"secretName": "s", "issuerRef": {"name": "i"}, "dnsName": ["x.example.org"]},
            "dnsName",
        ),
        (
            "gateway.networking.k8s.io/v1/namespaces/gateway-dev/gateways",
            "Gateway",
            {"gatewayClassName": "c", "listeners": [{"name": "n", "port": 80, "protocol": "HTTP", "hostName": "x"}]},
            "hostName",
        ),
        ("operator.tigera.io/v1/installations", "Installation", {"calicoNetwork": {"ipPool": []}}, "ipPool"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_a_misspelled_field_of_a_custom_resource_is_refused(
    deployed: Deployed, path: str, kind: str, spec: Object, typo: str
) -> None:
    version = "/".join(path.split("/")[:2])
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": "typo"}, "spec": spec}
    with pytest.raises(ApiRequestError, match=f"unknown field.*{typo}"):
        deployed.api.post(f"/apis/{path}?fieldValidation=Strict", body)


def canaries(deployed: Deployed) -> list[str]:
    """Return the secrets of the lab, in the clear and as Kubernetes encodes them."""
    data = deployed.api.get(f"/api/v1/namespaces/{HUB}/secrets/hub-keys")["data"]
    assert len(data) == 3
    return [*data.values(), *(base64.b64decode(value).decode() for value in data.values())]


def test_no_secret_is_in_any_file_or_output(deployed: Deployed) -> None:
    outputs = {
        verb: deployed.lab.well(*verb.split()).text
        for verb in ("export", "outputs", "outputs --json", "preview", "preview --json", "status --json")
    }
    outputs["up"] = deployed.up.text
    kept = [path for path in (deployed.lab.root / ".lab").rglob("*") if path.is_file()]
    files = {str(path): path.read_bytes() for path in kept if "/control-plane/etcd/" not in str(path)}
    assert any("history" in name for name in files)
    for canary in canaries(deployed):
        assert len(canary) >= 32
        assert [name for name, text in outputs.items() if canary in text] == []
        assert [name for name, content in files.items() if canary.encode() in content] == []


def test_only_the_owner_may_read_what_holds_secrets(deployed: Deployed) -> None:
    folder = deployed.lab.root / ".lab"
    for path in (folder / "passphrase", folder / "dev" / "kubeconfig", deployed.lab.state):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_export_has_no_recorded_release_and_every_other_resource(deployed: Deployed) -> None:
    export = deployed.lab.well("export")
    assert export.json["version"] == 3
    resources: list[Object] = export.json["deployment"]["resources"]
    exported = {item["urn"] for item in resources}
    releases = {urn for urn in state_of(deployed.lab) if ":Release::" in urn}
    assert len(releases) == RELEASES
    assert exported == set(state_of(deployed.lab)) - releases
    for urn in releases:
        assert f"left out, because it was only recorded: {urn}" in export.err
        assert urn not in export.out, "nothing refers to it"
    assert "research-compute.simulated" not in export.out


def test_outputs_are_json_for_a_script(deployed: Deployed) -> None:
    outputs = deployed.lab.well("outputs", "--json").json
    assert outputs["hub"] == {"namespace": HUB, "url": "https://hub.dev.lab.example.org"}
    assert outputs["environment"] == "dev"
    totals = {item["resource"]: item["total"] for item in outputs["slices"]}
    assert totals == {"nvidia.com/mig-1g.10gb": 15, "nvidia.com/mig-3g.40gb": 2, "nvidia.com/gpu": 1}


# -- an edit, and drift -----------------------------------------------------------------------------------------------


def changing(preview: Ended) -> list[Object]:
    """Return the steps of `preview --json` that change something."""
    return [step for step in preview.json["steps"] if step["op"] != "same"]


def test_editing_a_profile_changes_that_and_nothing_else(stack_file: LabCopy) -> None:
    graph = graph_of(stack_file)
    before, objects = state_of(stack_file), objects_of_ours(stack_file.api)
    stack_file.edit("name: GPU, 40 GB", "name: 'GPU, half an A100'")
    (step,) = changing(stack_file.well("preview", "--json"))
    assert (step["op"], urn_name(step["urn"])) == ("update", "hub-jupyterhub")
    assert list(step["detailedDiff"]) == ["values.singleuser.profileList[3].display_name"]
    shown = stack_file.well("preview").out
    assert 'values.singleuser.profileList[3].display_name: "GPU, 40 GB" → "GPU, half an A100"' in shown
    assert "1 to update" in shown
    assert stack_file.run("preview", "--expect-no-changes").code == 8
    assert "~ 1 updated" in stack_file.well("up", "--yes").out
    after = state_of(stack_file)
    assert {urn for urn in before.keys() | after.keys() if before.get(urn) != after.get(urn)} == {step["urn"]}
    assert objects_of_ours(stack_file.api) == objects
    changed = graph_of(stack_file)
    differing_in = [urn for urn in graph.keys() | changed.keys() if graph.get(urn) != changed.get(urn)]
    assert [urn_name(urn) for urn in differing_in] == ["hub-jupyterhub"]
    stack_file.well("preview", "--expect-no-changes")


def graph_of(lab: LabCopy) -> Mapping[str, Object]:
    """Return the recorded graph, by URN, as its golden file has it."""
    return canonical(record(open_lab(lab.stack, lab.root).program()))


def test_more_slices_in_the_stack_file_are_more_on_the_node(stack_file: LabCopy) -> None:
    stack_file.edit("layout: {1g.10gb: 4, 3g.40gb: 1}", "layout: {1g.10gb: 2, 2g.20gb: 1, 3g.40gb: 1}")
    stack_file.well("up", "--yes")
    allocatable = stack_file.api.get("/api/v1/nodes/gpu-1")["status"]["allocatable"]
    slices = {key.removeprefix("nvidia.com/"): value for key, value in allocatable.items() if "nvidia" in key}
    assert slices == {"mig-1g.10gb": "4", "mig-2g.20gb": "2", "mig-3g.40gb": "2"}


POLICY = f"/apis/networking.k8s.io/v1/namespaces/{HUB}/networkpolicies/default-deny"
BATCH = "/apis/scheduling.k8s.io/v1/priorityclasses/batch-dev"


def test_drift_is_shown_exactly_and_repaired(deployed: Deployed) -> None:
    lab, api = deployed.lab, deployed.api
    objects, state, described = objects_of_ours(api), state_of(lab), api.get(BATCH)["description"]
    api.delete(POLICY)
    api.merge(BATCH, {"description": None})
    lab.well("preview", "--expect-no-changes")
    steps = changing(lab.well("preview", "--refresh", "--json"))
    assert {(step["op"], urn_name(step["urn"])) for step in steps} == {
        ("create", "hub-namespace-default-deny"),
        ("update", "priorities-batch"),
    }
    (edited,) = [step for step in steps if step["op"] == "update"]
    assert list(edited["detailedDiff"]) == ["description"]
    assert not api.exists(POLICY), "a preview repairs nothing"
    repaired = lab.well("up", "--yes", "--refresh")
    assert "+ 1 created, ~ 1 updated" in repaired.out
    assert api.get(BATCH)["description"] == described
    assert objects_of_ours(api) == objects
    assert state_of(lab) == state
    lab.well("preview", "--refresh", "--expect-no-changes")


def test_a_field_that_somebody_else_holds_is_not_taken_from_them(deployed: Deployed) -> None:
    lab, api = deployed.lab, deployed.api
    objects = objects_of_ours(api)
    # A priority class cannot be applied without its value, so that its owner shares that field, too.
    body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": api.get(BATCH)["value"]}
    api.apply(BATCH, "somebody&force=true", {**body, "description": "edited by hand"})
    refused = lab.run("up", "--yes", "--refresh")
    assert refused.code == 1
    assert ".description is held by somebody" in refused.err
    assert api.get(BATCH)["description"] == "edited by hand"
    api.apply(BATCH, "somebody", body)
    lab.well("up", "--yes", "--refresh")
    assert objects_of_ours(api) == objects


def test_refresh_takes_over_what_is_there_and_the_next_up_repairs_it(deployed: Deployed) -> None:
    lab, api = deployed.lab, deployed.api
    objects, state = objects_of_ours(api), state_of(lab)
    api.delete(POLICY)
    lab.well("refresh", "--yes")
    assert not api.exists(POLICY)
    assert state.keys() - state_of(lab).keys() == {urn for urn in state if urn.endswith("::hub-namespace-default-deny")}
    lab.well("up", "--yes")
    assert objects_of_ours(api) == objects
    assert state_of(lab) == state
