"""What a hub may make, delete and see beside servers; what others may do to a server; and what happens to the table."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Generator, Mapping

import pytest
from cluster_api import Api, Object, eventually
from hub_admission_bed import STATIC, UID_HOMES, Answer, Bed, hub_bed, hub_section
from hub_changes import Forbidden, annotate, claim, put, volume

from labctl.control_plane import ControlPlane
from labctl.control_plane.errors import ApiRequestError

CONFLICT = 409
"""HTTP's own number."""
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


@pytest.fixture(scope="module")
def bed(control_plane: ControlPlane) -> Generator[Bed]:
    """Servers run with their users' own ids; Pod Security lets everything through."""
    with hub_bed(control_plane, hub_section(identity=STATIC, homes=UID_HOMES, lxcfs=True)) as made:
        yield made


@pytest.fixture
def running(bed: Bed) -> str:
    """Name of a server of ana's that is there."""
    pod, _ = bed.made()
    pod["metadata"]["name"] = f"jupyter-ana-{uuid.uuid4().hex[:6]}"
    bed.start(pod, "").admitted()
    return str(pod["metadata"]["name"])


CLAIMS = (
    Forbidden(
        "a clone of another's home",
        "names where it comes from: dataSource, dataSourceRef",
        put("spec.dataSource", {"kind": "PersistentVolumeClaim", "name": "home-uid-5002"}),
    ),
    Forbidden(
        "a home from a snapshot",
        "names where it comes from: dataSource, dataSourceRef",
        put("spec.dataSourceRef", {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "x"}),
    ),
    Forbidden("another's volume", "names where it comes from: volumeName", put("spec.volumeName", "pvc-of-bo")),
    Forbidden(
        "a volume by its labels",
        "names where it comes from: selector",
        put("spec.selector", {"matchLabels": {"owner": "bo"}}),
    ),
    Forbidden("another name", "claim scratch is not named as homes are", put("metadata.name", "scratch")),
    Forbidden("root's home", "claim home-uid-0 is not named as homes are", put("metadata.name", "home-uid-0")),
    Forbidden("another class", "storage class [fast], planned is [homes]", put("spec.storageClassName", "fast")),
    Forbidden(
        "another class by the older annotation",
        "it has annotations that are not planned: volume.beta.kubernetes.io/storage-class",
        annotate("volume.beta.kubernetes.io/storage-class", "fast"),
    ),
    Forbidden("more storage", "it asks for 1Ti, and homes have 1Gi", put("spec.resources.requests.storage", "1Ti")),
    Forbidden("a disk in the raw", "it is not accessed as homes are", put("spec.volumeMode", "Block")),
    Forbidden(
        "another access mode",
        "it is not accessed as homes are: ReadWriteOncePod",
        put("spec.accessModes", ["ReadWriteOncePod"]),
    ),
    Forbidden(
        "a binder's annotation",
        "it has annotations that are not planned: volume.kubernetes.io/selected-node",
        annotate("volume.kubernetes.io/selected-node", "gpu-1"),
    ),
    Forbidden(
        "an owner it goes with",
        "a home has no owner",
        put("metadata.ownerReferences", [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}]),
    ),
)


@pytest.mark.parametrize("row", CLAIMS, ids=[row.what.replace(" ", "-") for row in CLAIMS])
def test_a_home_is_made_empty_and_as_planned(bed: Bed, row: Forbidden) -> None:
    _, home = bed.made()
    row.change(home)
    bed.hub.ask("POST", bed.claims(), home).refused(row.says)


def as_admin(api: Api, method: str, path: str, body: Object) -> Answer:
    """Return what the cluster's administrator is told: the policies hold for everybody."""
    try:
        return Answer(200, json.loads(api.client.request(method, path, body)))
    except ApiRequestError as refusal:
        return Answer(refusal.status or 0, {"message": str(refusal)})


SERVICES: Mapping[str, Object] = {
    "a port on every node": {"type": "NodePort", "ports": [{"port": 80}]},
    "an address of the lab's": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    "an address of somebody else's": {"externalIPs": ["192.0.2.9"], "ports": [{"port": 80}]},
    "another name": {"type": "ExternalName", "externalName": "evil.example.org"},
    "the proxy's connections": {"selector": {"component": "proxy"}, "ports": [{"port": 80}]},
}


@pytest.mark.parametrize("spec", SERVICES.values(), ids=[what.replace(" ", "-") for what in SERVICES])
def test_the_hub_makes_no_service(bed: Bed, spec: Object) -> None:
    path = f"/api/v1/namespaces/{bed.namespace}/services?dryRun=All"
    bed.hub.ask("POST", path, {"metadata": {"name": "x"}, "spec": spec}).refused("the hub makes no Services")


def test_the_hub_makes_no_secret_that_is_filled_with_a_token(bed: Bed) -> None:
    account = {"kubernetes.io/service-account.name": "hub"}
    for kind, notes in (("kubernetes.io/service-account-token", account), ("Opaque", {})):
        body = {"metadata": {"name": "x", "annotations": notes}, "type": kind}
        path = f"/api/v1/namespaces/{bed.namespace}/secrets?dryRun=All"
        bed.hub.ask("POST", path, body).refused("the hub makes no Services and no Secrets")


def test_the_hub_deletes_servers_and_nothing_else(bed: Bed, running: str) -> None:
    base = f"/api/v1/namespaces/{bed.namespace}"
    _, home = bed.made()
    bed.hub.ask("POST", bed.claims(""), home).admitted()
    for kind, name in (("pods", "kept"), ("persistentvolumeclaims", "home-uid-5001")):
        said = f"the hub deletes servers and nothing else: {kind}/{name} is none"
        bed.hub.ask("DELETE", f"{base}/{kind}/{name}").refused(said)
    for kind, body in (("secrets", {}), ("services", {"spec": {"ports": [{"port": 80}]}})):
        name = f"kept-{uuid.uuid4().hex[:6]}"
        bed.api.post(f"{base}/{kind}", {"metadata": {"name": name}, **body})
        bed.hub.ask("DELETE", f"{base}/{kind}/{name}").refused(f"{kind}/{name} is none")
    assert bed.hub.ask("DELETE", f"{base}/pods/{running}").status in {200, 202}


ELSEWHERE: tuple[tuple[str, str, str], ...] = (
    ("patch", "nodes", ""),
    ("get", "persistentvolumes", ""),
    ("list", "namespaces", ""),
    ("create", "pods", "default"),
    ("list", "secrets", "kube-system"),
    ("create", "validatingadmissionpolicybindings", ""),
    ("patch", "validatingadmissionpolicies", ""),
)
OWN = ("exec", "ephemeralcontainers", "portforward", "attach", "eviction", "binding")


def test_the_hub_may_do_no_more_than_its_charts_role(bed: Bed) -> None:
    assert bed.hub.may("create", "pods", bed.namespace), "else the rest proves nothing"
    for verb, resource, namespace in ELSEWHERE:
        assert not bed.hub.may(verb, resource, namespace), (verb, resource, namespace)
    for subresource in OWN:
        assert not bed.hub.may("create", "pods", bed.namespace, subresource), subresource
    for verb in ("update", "patch", "deletecollection"):
        for resource in ("pods", "persistentvolumeclaims", "secrets", "services"):
            assert not bed.hub.may(verb, resource, bed.namespace), (verb, resource)
    for verb in ("create", "update", "patch", "delete"):
        assert not bed.hub.may(verb, "configmaps", bed.identities), verb
    assert not bed.hub.may("create", "serviceaccounts", bed.namespace, "token")


def test_a_server_may_ask_the_api_server_for_nothing(bed: Bed) -> None:
    for resource in ("pods", "secrets", "configmaps", "persistentvolumeclaims"):
        assert bed.server.ask("GET", f"/api/v1/namespaces/{bed.namespace}/{resource}").status == 403


def test_without_the_table_no_server_starts(bed: Bed) -> None:
    pod, _ = bed.made()
    path = f"/api/v1/namespaces/{bed.identities}/configmaps"
    table = bed.api.get(f"{path}/identities")
    bed.api.delete(f"{path}/identities")
    try:
        eventually(lambda: bed.start(pod).status != 201)
        bed.start(pod).refused("no params found for policy binding with `Deny` parameterNotFoundAction")
        # The hub and the proxy are made by others, and come back without it.
        bed.api.post(bed.pods(), others_pod())
    finally:
        bed.api.post(path, {"metadata": {"name": "identities"}, "data": table["data"]})
    eventually(lambda: bed.start(pod).status == 201)


def test_whoever_is_struck_from_the_table_starts_no_server(bed: Bed) -> None:
    pod, _ = bed.made()
    path = f"/api/v1/namespaces/{bed.identities}/configmaps/identities"
    row = bed.api.get(path)["data"]["ana"]
    bed.api.merge(path, {"data": {"ana": None}})
    try:
        eventually(lambda: bed.start(pod).status == 403)
        bed.start(pod).refused("user ana has no identity under ana in ConfigMap")
        bed.api.merge(path, {"data": {"ana": "ana:0:5100:"}})
        eventually(lambda: "the identity it names" in bed.start(pod).message)
    finally:
        bed.api.merge(path, {"data": {"ana": row}})
    eventually(lambda: bed.start(pod).status == 201)


def others_pod(*changes: Callable[[Object], None]) -> Object:
    pod: Object = {
        "metadata": {"name": "mine"},
        "spec": {"containers": [{"name": "x", "image": "registry.invalid/x:1"}]},
    }
    for change in changes:
        change(pod)
    return pod


def test_nobody_else_gets_a_home_or_is_taken_for_a_server(bed: Bed) -> None:
    asked = bed.pods()
    bed.api.post(asked, others_pod(volume(claim("shared-datasets"))))
    for change, said in (
        (volume(claim("home-uid-5001")), "homes are mounted by servers of the hub alone: home-uid-5001"),
        (volume(claim("unassigned-ana")), "homes are mounted by servers of the hub alone: unassigned-ana"),
        (_labelled, "only the hub makes pods labelled app.kubernetes.io/component: singleuser-server"),
    ):
        as_admin(bed.api, "POST", asked, others_pod(change)).refused(said)


def _labelled(pod: Object) -> None:
    pod["metadata"]["labels"] = {"app.kubernetes.io/component": "singleuser-server"}


def test_a_running_server_stays_whose_it_is(bed: Bed, running: str) -> None:
    path = bed.pods(f"/{running}?dryRun=All")
    bed.api.merge(path, {"metadata": {"annotations": {"research-compute/gpu-eviction-at": "2026-11-23T12:00:00Z"}}})
    pod = bed.api.get(bed.pods(f"/{running}"))
    kept = "what a server is does not change"
    changes: tuple[tuple[Callable[[Object], None], str], ...] = (
        (annotate("hub.jupyter.org/username", "bo"), f"{kept}: hub.jupyter.org/username"),
        (annotate("lab.internal/identity", "bo"), f"{kept}: lab.internal/identity"),
        (put("spec.containers.0.image", "registry.invalid/x:1"), "the image of a server does not change"),
        (
            lambda pod: pod["metadata"]["labels"].update({"lab.internal/network": "web"}),
            f"{kept}: lab.internal/network",
        ),
        (lambda pod: pod["metadata"]["labels"].pop("app.kubernetes.io/component"), kept),
    )
    for change, said in changes:
        altered = copy.deepcopy(pod)
        # Whatever the scheduler has written to it meanwhile.
        altered["metadata"].pop("resourceVersion")
        change(altered)
        as_admin(bed.api, "PUT", path, altered).refused(said)


SAFE: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.parametrize(
    ("context", "mounts", "says"),
    [
        (SAFE, [], None),
        ({**SAFE, "runAsUser": 5002}, [], "debug-user-id: container debug runs as user 5002; its server runs as 5001"),
        ({**SAFE, "runAsUser": 0}, [], "debug-user-id: container debug runs as user 0"),
        ({**SAFE, "allowPrivilegeEscalation": True}, [], "debug-escalation: container debug"),
        ({**SAFE, "capabilities": {"add": ["SYS_ADMIN"]}}, [], "debug-capabilities: container debug"),
        (
            SAFE,
            [{"name": "lxcfs-meminfo", "mountPath": "/x"}],
            "debug-host-files: containers added for debugging mount files of the node: debug",
        ),
    ],
    ids=["as-its-user", "as-another", "as-root", "escalation", "capabilities", "host-files"],
)
def test_whoever_looks_into_a_server_is_its_user_there(
    bed: Bed, running: str, context: Object, mounts: list[Object], says: str | None
) -> None:
    debug = {"name": "debug", "image": "registry.invalid/x:1", "securityContext": context, "volumeMounts": mounts}

    def look() -> Answer | None:
        pod = bed.api.get(bed.pods(f"/{running}"))
        pod["spec"]["ephemeralContainers"] = [debug]
        asked = as_admin(bed.api, "PUT", bed.pods(f"/{running}/ephemeralcontainers?dryRun=All"), pod)
        # The scheduler may have written to it in between.
        return None if asked.status == CONFLICT else asked

    asked = eventually(look)
    if says is None:
        asked.admitted()
    else:
        asked.refused(says)


def test_every_expression_is_what_the_api_server_takes_it_for(bed: Bed) -> None:
    assert len(bed.policies) == 7
    for name in bed.policies:
        status = eventually(lambda name=name: bed.api.get(f"{POLICIES}/{name}").get("status"))
        assert status["typeChecking"].get("expressionWarnings", []) == [], name
