"""A hub's namespace on a real API server: its policies, the chart's account and Role, and pods KubeSpawner makes."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import ssl
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest
import urllib3
from cluster_api import Api, Object, eventually

from components.gpu.models import GpuModelName
from components.gpu.slices import Slice
from components.hub.admission.component import HubAdmission, HubAdmissionArgs
from components.hub.admission.planned import admission_plan
from components.hub.config import HubConfig
from components.hub.facts import HubFacts
from components.hub.files.lab_hub.identities import Found
from components.hub.files.lab_hub.identity import GROUPS_KEY, Identity, table_groups
from components.hub.files.lab_hub.uid_homes import uid_claim
from components.hub.files.lab_hub.wear_identity import wear_identity
from components.hub.values import hub_values
from components.images import ImageReference
from components.model import Value
from components.namespaces.plan import NamespacePlan, PodSecurity, namespace_labels
from components.storage.plan import SharedMount
from labctl.control_plane import ControlPlane
from labctl.control_plane.client import tls_context
from labctl.control_plane.errors import ApiRequestError
from labctl.graph.program import Program
from labctl.graph.record import Graph, record
from labctl.local_hub.chart import HubRelease, translate

REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
IMAGE = ImageReference.parse("registry.invalid/notebook:1@sha256:" + "0" * 64)
HUB_VARIABLES = {
    "JUPYTERHUB_API_URL": "http://hub:8081/hub/api",
    "JUPYTERHUB_API_TOKEN": "0123456789abcdef",
    "JUPYTERHUB_USER": "ana",
}
"""Of what the hub tells every server."""
SIDECAR = ImageReference.parse("registry.invalid/sidecar:1@sha256:" + "2" * 64)
SLICES = (
    Slice(
        name="1g.10gb",
        resource="nvidia.com/mig-1g.10gb",
        model=GpuModelName.A100_80_PCIE,
        memory_gigabytes=10,
        nodes=(("gpu-1", 4),),
    ),
)
CHART_RULES: Sequence[Mapping[str, Sequence[str]]] = (
    {
        "apiGroups": [""],
        "resources": ["pods", "persistentvolumeclaims", "secrets", "services"],
        "verbs": ["get", "watch", "list", "create", "delete"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "watch", "list"]},
)
"""What the chart's Role lets the hub do (Zero to JupyterHub 4.4.0, ``hub/rbac.yaml``)."""
STATIC = {"kind": "static", "users": {"ana": {"uid": 5001, "gid": 5100}, "bo": {"uid": 5002, "gid": 5100}}}
"""Identities of the stack file; what the policies go by is in the table of the bed."""
UID_HOMES = {"capacity": "1Gi", "key": "uid"}
ANA = Identity("ana", 5001, 5100, (("imaging", 6001), ("teaching", 6002)))
BO = Identity("bo", 5002, 5100)
VOLUMES = (
    SharedMount(name="datasets", claim="shared-datasets", mount_path="/srv/datasets", read_only=True),
    SharedMount(name="notebooks", claim="shared-notebooks", mount_path="/srv/notebooks", read_only=False),
)


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    body: Object

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    def admitted(self) -> Object:
        assert self.status in {200, 201}, self.message
        return self.body

    def refused(self, *said: str) -> str:
        """Return the message of a refusal that says all of this."""
        assert self.status in {403, 422}, f"{self.status}: {self.message}"
        for text in said:
            assert text in self.message, self.message
        return self.message


class Account:
    """Somebody who asks the API server with a token, and is nobody's administrator."""

    def __init__(self, api: Api, authority: ssl.SSLContext, token: str) -> None:
        self._server = api.server
        self._pool = urllib3.PoolManager(ssl_context=authority, retries=False)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        content = None if body is None else json.dumps(body)
        reply = self._pool.request(method, f"{self._server}{path}", body=content, headers=self._headers)
        return Answer(reply.status, json.loads(reply.data))

    def may(self, verb: str, resource: str, namespace: str = "", subresource: str = "") -> bool:
        """Return what ``kubectl auth can-i`` says."""
        attributes = {"verb": verb, "resource": resource, "namespace": namespace, "subresource": subresource}
        review = {"spec": {"resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return bool(self.ask("POST", path, review).admitted()["status"]["allowed"])


@dataclass(frozen=True)
class Bed:
    """One hub's namespace, closed by its policies."""

    api: Api
    namespace: str
    identities: str
    hub: Account
    """The hub's own account."""
    server: Account
    """The account servers run with: default."""
    config: HubConfig | None
    values: Mapping[str, Mapping[str, Value]]
    policies: tuple[str, ...]
    home: str | None

    def pods(self, suffix: str = "?dryRun=All") -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods{suffix}"

    def claims(self, suffix: str = "?dryRun=All") -> str:
        return f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims{suffix}"

    def start(self, pod: Object, suffix: str = "?dryRun=All") -> Answer:
        """Return what the hub is told when it makes a server."""
        return self.hub.ask("POST", self.pods(suffix), pod)

    def made(
        self, profile: str | None = None, identity: Identity | None = ANA, user: str = "ana"
    ) -> tuple[Object, Object]:
        """Return the pod and the claim of a start, as JSON has them."""
        options = {} if profile is None else {"profile": profile}
        return server_objects(self.values, options, user, identity, self.home)

    @property
    def has_identities(self) -> bool:
        return self.config is not None and self.config.identity is not None


class _Source:
    """Stands for the hub's reading of the table."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def find(self, *_asked: object) -> Found:
        return Found(self._identity, None)


def _nothing(*_given: object, **_named: object) -> None:
    """Stand for what would look for a cluster."""


def server_objects(
    values: Mapping[str, Mapping[str, Value]],
    options: Mapping[str, str],
    user: str,
    identity: Identity | None,
    home: str | None = None,
) -> tuple[Object, Object]:
    """Return pod and claim of a server as KubeSpawner makes them from the release's values.

    Parameters
    ----------
    values
        The release's.
    options
        What the user chose.
    user
        Name of its user.
    identity
        Whom it runs as; None where nobody has ids.
    home
        Name of its claim, where KubeSpawner does not give it by itself.
    """
    module = pytest.importorskip("kubespawner.spawner", reason="the hub's own packages are not installed")
    tokens = pytest.importorskip("components.hub.files.lab_hub.tokens", reason="the hub's own packages")
    configuration, client = pytest.importorskip("traitlets.config"), pytest.importorskip("kubernetes_asyncio.client")
    plain = json.loads(json.dumps(values))
    release = HubRelease(
        name="jupyterhub", namespace="hub", chart="jupyterhub", version="4.4.0", values=plain, is_recorded=True
    )
    config = copy.deepcopy(translate(release).config)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_config", "shared_client"):
            patch.setattr(module, name, _nothing)
        spawner = module.KubeSpawner(config=configuration.Config(config), _mock=True)

    async def auth_state() -> None:
        return None

    spawner.user = SimpleNamespace(name=user, id=1, groups=(), get_auth_state=auth_state)
    # Worked out once for the user it is made with, who is a mock here.
    for name in ("pod_name", "pvc_name"):
        setattr(spawner, name, spawner._expand_user_properties(getattr(spawner, f"{name}_template")))
    spawner.user_options = dict(options)
    if home is not None:
        spawner.pvc_name = home
    spawner.get_env = lambda: HUB_VARIABLES | {key: str(value) for key, value in spawner.environment.items()}
    settings: Any = values["custom"]["lab"]

    async def manifests() -> tuple[Object, Object]:
        if identity is not None:
            await wear_identity(settings["identity"], cast("Any", _Source(identity)))(spawner)
            spawner.pvc_name = uid_claim(identity.uid)
        await spawner.load_user_options()
        pod, claim = await spawner.get_pod_manifest(), spawner.get_pvc_manifest()
        if "tokens" in settings:
            tokens.share_hub(spawner, pod, settings["tokens"])
        async with client.ApiClient() as api:
            return api.sanitize_for_serialization(pod), api.sanitize_for_serialization(claim)

    return asyncio.run(manifests())


def hub_section(**changes: object) -> HubConfig:
    """Return a hub section with a plain profile, and one with a GPU where there are slices."""
    resources = {"guarantee": {"cpu": "100m", "memory": "64Mi"}}
    return HubConfig.model_validate(
        {
            "authentication": {"kind": "dummy"},
            "homes": {"capacity": "1Gi", "key": "username"},
            "profiles": [
                {"slug": "plain", "name": "Plain", "image": "notebook", "resources": resources, "default": True}
            ],
            **changes,
        }
    )


@contextmanager
def hub_bed(control_plane: ControlPlane, config: HubConfig, *, relaxed: bool = True) -> Generator[Bed]:
    """Make a hub's namespace with everything that guards it, and take it away again.

    Parameters
    ----------
    control_plane
        It runs.
    config
        The hub section.
    relaxed
        Whether the namespace's Pod Security label lets everything through, so that the policies stand alone.
    """
    stack = f"t{uuid.uuid4().hex[:8]}"
    facts = HubFacts(
        home_class="homes",
        secret="keys",
        images={"notebook": IMAGE, "sidecar": SIDECAR},
        volumes=VOLUMES,
        servers_priority=f"people-{stack}",
        slices=SLICES,
    )
    values = hub_values(config, facts)
    level = PodSecurity.PRIVILEGED if relaxed else PodSecurity.RESTRICTED
    plan = NamespacePlan(name=f"hub-{stack}", stack=stack, pod_security=level)
    policies = admission_plan(config, stack, values, is_simulated=False)

    def entry() -> None:
        given = pulumi.Output.from_input(policies)
        HubAdmission("admission", HubAdmissionArgs(namespace=plan.name, stack=stack, policies=given))

    graph = record(Program(project="p", stack=stack, entry=entry))
    with guarded(control_plane, Planned(graph, namespace_labels(plan), values), config) as bed:
        yield bed


@dataclass(frozen=True)
class Planned:
    """What a stack plans for its hub."""

    graph: Graph
    labels: Mapping[str, str]
    """Of the hub's namespace."""
    values: Mapping[str, Mapping[str, Value]]
    """Of the hub's release."""
    home: str | None = None
    """Name of a home, where KubeSpawner does not give it by itself."""


@contextmanager
def guarded(control_plane: ControlPlane, planned: Planned, config: HubConfig | None = None) -> Generator[Bed]:
    """Make the namespace of a stack's hub with the policies of its graph, and take it all away again.

    Parameters
    ----------
    control_plane
        It runs.
    planned
        The stack's.
    config
        The hub section, where its identities are to be there.
    """
    api, stack = Api(control_plane), planned.graph.stack
    authority = tls_context(authority=control_plane.directory / "pki" / "ca.crt", client=None)
    namespace, identities = f"hub-{stack}", f"identities-{stack}"
    made: list[str] = []

    def make(path: str, body: Mapping[str, Any]) -> None:
        api.post(path, body)
        made.append(f"{path}/{body['metadata']['name']}")

    _keep_watching_config_maps(api)
    try:
        for name, marks in ((namespace, planned.labels), (identities, dict[str, str]())):
            make("/api/v1/namespaces", {"metadata": {"name": name, "labels": marks}})
        for name in (f"people-{stack}", f"interactive-{stack}"):
            make("/apis/scheduling.k8s.io/v1/priorityclasses", {"metadata": {"name": name}, "value": 10})
        _account(api, namespace)
        rows = {**{each.key: each.row() for each in (ANA, BO)}, GROUPS_KEY: table_groups({"people": 5100})}
        api.post(f"/api/v1/namespaces/{identities}/configmaps", {"metadata": {"name": "identities"}, "data": rows})
        for path, body in _policies(planned.graph):
            make(path, body)
        bed = Bed(
            api,
            namespace,
            identities,
            Account(api, authority, _token(api, namespace, "hub")),
            Account(api, authority, _token(api, namespace, "default")),
            config,
            planned.values,
            tuple(path.rpartition("/")[2] for path in made if "/validatingadmissionpolicies/" in path),
            planned.home,
        )
        _wait_until_in_force(bed)
        yield bed
    finally:
        for path in reversed(made):
            api.delete(path)


def _keep_watching_config_maps(api: Api) -> None:
    """Have one binding name a ConfigMap for as long as the control plane lives.

    When the last one goes, an API server stops watching ConfigMaps for policies, and never begins again (Kubernetes
    #130887): the next test's table would not be seen.
    """
    everything = {
        "resourceRules": [
            {"apiGroups": ["tests.invalid"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothing"]}
        ]
    }
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConstraints": everything,
        "validations": [{"expression": "true"}],
    }
    bound = {"policyName": "tests-config-maps", "validationActions": ["Deny"]}
    bound |= {"paramRef": {"name": "none", "namespace": "default", "parameterNotFoundAction": "Allow"}}
    for plural, content in (("validatingadmissionpolicies", spec), ("validatingadmissionpolicybindings", bound)):
        path = f"{REGISTRATION}/{plural}"
        with contextlib.suppress(ApiRequestError):
            # It is there already.
            api.post(path, {"metadata": {"name": "tests-config-maps"}, "spec": content})
    with contextlib.suppress(ApiRequestError):
        api.post("/apis/node.k8s.io/v1/runtimeclasses", {"metadata": {"name": "tests-other"}, "handler": "other"})


def _account(api: Api, namespace: str) -> None:
    """Make the hub's account with the chart's Role."""
    eventually(lambda: api.exists(f"/api/v1/namespaces/{namespace}/serviceaccounts/default"))
    api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "hub"}})
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    api.post(f"{rbac}/roles", {"metadata": {"name": "hub"}, "rules": list(CHART_RULES)})
    subject = {"kind": "ServiceAccount", "name": "hub", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "hub"}
    api.post(f"{rbac}/rolebindings", {"metadata": {"name": "hub"}, "subjects": [subject], "roleRef": role})


def _token(api: Api, namespace: str, account: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    return api.post(path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]


def _policies(graph: Graph) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the hub's policies and bindings of a graph: where they are made, and as what."""
    plurals = {
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    }
    for goal in graph.goals:
        kind = goal.type.rpartition(":")[2]
        if kind in plurals and "admission-" in goal.name:
            yield f"{REGISTRATION}/{plurals[kind]}", cast("Mapping[str, Any]", goal.inputs)


def _wait_until_in_force(bed: Bed) -> None:
    """Wait until the API server holds requests against every policy: it hears of them a moment later."""
    nobodys, _ = bed.made(identity=ANA if bed.has_identities else None)
    nobodys["metadata"]["annotations"].pop("hub.jupyter.org/username")
    eventually(lambda: "it does not say whose it is" in bed.start(nobodys).message)
    refusals: tuple[Callable[[], Answer], ...] = (
        lambda: bed.hub.ask("POST", bed.pods(), _bare_pod("early")),
        lambda: bed.hub.ask("POST", bed.claims(), _bare_claim()),
        lambda: bed.hub.ask(
            "POST", f"/api/v1/namespaces/{bed.namespace}/secrets?dryRun=All", {"metadata": {"name": "x"}}
        ),
    )
    for refusal in refusals:
        eventually(lambda refusal=refusal: "ValidatingAdmissionPolicy" in refusal().message)
    bed.api.post(bed.pods(""), _bare_pod("kept", labels={}))
    eventually(lambda: "ValidatingAdmissionPolicy" in bed.hub.ask("DELETE", f"{bed.pods('/kept')}?dryRun=All").message)


def _bare_pod(name: str, labels: Mapping[str, str] | None = None) -> Object:
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 4,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "x", "image": "registry.invalid/x:1", "securityContext": context}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": {"containers": [container]}}


def _bare_claim() -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": "early"}, "spec": spec}
