"""The planned values in the hub's own classes: JupyterHub, KubeSpawner and oauthenticator as the chart ships them."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Protocol, cast

import pytest
from home_answers import storage_host
from hub_labs import FACTS, hub
from test_hub_signin import GITHUB, GOOGLE, OIDC

from components.hub import files
from components.hub.files.lab_hub.homes import claim_name
from components.hub.limits.plan import NOTICES
from components.hub.plan import hub_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from components.hub.facts import HubFacts

MISSING = "the hub's own packages are not installed (requirements-dev.txt)"
kubespawner = pytest.importorskip("kubespawner", reason=MISSING)
kubespawner_module = pytest.importorskip("kubespawner.spawner", reason=MISSING)
jupyterhub_app = pytest.importorskip("jupyterhub.app", reason=MISSING)
traitlets_config = pytest.importorskip("traitlets.config", reason=MISSING)
pytest.importorskip("oauthenticator", reason=MISSING)
ours = import_module("components.hub.files.lab_hub.signin_oauth")
authenticators = {
    "GitHubOAuthenticator": ours.LabGitHub,
    "GoogleOAuthenticator": ours.LabGoogle,
    "Auth0OAuthenticator": ours.LabAuth0,
    "GenericOAuthenticator": ours.LabOidc,
}
"""Our classes by the section of the class they extend."""


class Configurable(Protocol):
    """A configurable class of the hub."""

    def class_trait_names(self, *, config: bool) -> Sequence[str]: ...


class Authenticator(Protocol):
    """What is asked of an authenticator."""

    client_secret: str
    enable_auth_state: bool
    allow_existing_users: bool


class Manifest(Protocol):
    """An object KubeSpawner would create."""

    def to_dict(self) -> Mapping[str, object]: ...


class RealSpawner(Protocol):
    """What is asked of KubeSpawner."""

    user: object
    orm_spawner: object
    user_options: Mapping[str, str]
    profile_list: object
    namespace: str

    async def load_user_options(self) -> None: ...
    async def run_pre_spawn_hook(self) -> None: ...
    async def get_pod_manifest(self) -> Manifest: ...
    def get_pvc_manifest(self) -> Manifest: ...


CLASSES: dict[str, Configurable] = {
    "JupyterHub": jupyterhub_app.JupyterHub,
    "KubeSpawner": kubespawner.KubeSpawner,
    "LabSignIn": ours.LabSignIn,
    **authenticators,
}
AUTH0 = hub().model_dump(mode="json", by_alias=True)["authentication"]


def hub_config(authentication: object) -> Mapping[str, Mapping[str, object]]:
    values = hub_values(hub(authentication=authentication), FACTS)
    return cast("Mapping[str, Mapping[str, object]]", values["hub"]["config"])


@pytest.mark.parametrize("authentication", [GITHUB, GOOGLE, AUTH0, OIDC], ids=["github", "google", "auth0", "oidc"])
def test_every_setting_is_one_the_hub_knows(authentication: object) -> None:
    for section, settings in hub_config(authentication).items():
        known = set(CLASSES[section].class_trait_names(config=True))
        assert set(settings) <= known, section


@pytest.mark.parametrize("authentication", [GITHUB, GOOGLE, AUTH0, OIDC], ids=["github", "google", "auth0", "oidc"])
def test_the_authenticator_takes_its_section_and_finds_its_secret(
    authentication: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTH_CLIENT_SECRET", "canary")
    sections = hub_config(authentication)
    (name,) = set(sections) & set(authenticators)
    make = cast("Callable[..., Authenticator]", authenticators[name])
    assert sections["JupyterHub"]["authenticator_class"] == f"lab_hub.signin_oauth.{authenticators[name].__name__}"
    settings = {section: dict(sections[section]) for section in (name, "LabSignIn")}
    authenticator = make(config=traitlets_config.Config(settings))
    assert authenticator.client_secret == "canary"
    assert authenticator.enable_auth_state is True
    assert authenticator.allow_existing_users is False


class Ana:
    """The user a server is for."""

    name = "Ana.Novak@lab.org"
    id = 7
    groups: tuple[object, ...] = ()

    def __init__(self) -> None:
        self.spawners: dict[str, object] = {}
        self.settings = {"users": {self.id: self}}

    async def get_auth_state(self) -> Mapping[str, object]:
        return {"auth0_user": {"sub": "github|123"}}


def nothing(*_given: object, **_named: object) -> None:
    """Stand for what would look for a cluster."""


@pytest.fixture
def spawner(monkeypatch: pytest.MonkeyPatch) -> RealSpawner:
    """Return KubeSpawner configured as the chart's ``jupyterhub_config.py`` does from our values."""
    return configured_spawner(FACTS, monkeypatch)


def configured_spawner(facts: HubFacts, monkeypatch: pytest.MonkeyPatch, **settings: object) -> RealSpawner:
    """Return the same for other facts, with these keys of the chart's ``custom.lab`` replaced."""
    monkeypatch.setattr(kubespawner_module, "load_config", nothing)
    monkeypatch.setattr(kubespawner_module, "shared_client", nothing)
    values = hub_values(hub(), facts)
    singleuser, sections = values["singleuser"], cast("Mapping[str, Mapping[str, object]]", values["hub"]["config"])
    storage = cast("Mapping[str, Mapping[str, object]]", singleuser["storage"])
    c = traitlets_config.Config({"KubeSpawner": dict(sections["KubeSpawner"])})
    c.KubeSpawner.profile_list = singleuser["profileList"]
    c.KubeSpawner.pvc_name_template = storage["dynamic"]["pvcNameTemplate"]
    c.KubeSpawner.storage_class = storage["dynamic"]["storageClass"]
    c.KubeSpawner.storage_access_modes = storage["dynamic"]["storageAccessModes"]
    c.KubeSpawner.storage_capacity = storage["capacity"]
    claim = {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}
    c.KubeSpawner.volumes = {"home": claim, **storage["extraVolumes"]}
    home = {"name": "home", "mountPath": storage["homeMountPath"]}
    c.KubeSpawner.volume_mounts = {"home": home, **storage["extraVolumeMounts"]}
    lab = cast("Mapping[str, object]", values["custom"]["lab"])
    run_extra_config(values, c, {**lab, **settings}, monkeypatch)
    made = cast("RealSpawner", c.JupyterHub.spawner_class(config=c, _mock=True))
    made.user = Ana()
    made.orm_spawner = SimpleNamespace(name="", started=None, user_options={}, server=None)
    monkeypatch.setattr(made, "get_env", dict)
    return made


def run_extra_config(
    values: Mapping[str, Mapping[str, object]], c: object, lab: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the lines the chart runs after its own configuration, with the modules they import where it mounts them."""

    def get_config(key: str) -> object:
        assert key == "custom.lab"
        return lab

    chart = ModuleType("z2jh")
    monkeypatch.setattr(chart, "get_config", get_config, raising=False)
    monkeypatch.setitem(sys.modules, "z2jh", chart)
    monkeypatch.setattr(sys, "path", [str(Path(files.__file__ or "").parent), *sys.path])
    for text in cast("Mapping[str, str]", values["hub"]["extraConfig"]).values():
        exec(text, {"c": c})  # noqa: S102 - as the chart does with these very lines


def manifests(spawner: RealSpawner, profile: str) -> tuple[object, object]:
    """Return the pod and the claim of a start, as plain data in the client's snake_case."""

    async def start() -> tuple[Manifest, Manifest]:
        spawner.user_options = {"profile": profile}
        await spawner.load_user_options()
        await spawner.run_pre_spawn_hook()
        return await spawner.get_pod_manifest(), spawner.get_pvc_manifest()

    pod, claim = asyncio.run(start())
    return pod.to_dict(), claim.to_dict()


def at(found: object, *path: str | int) -> object:
    for step in path:
        found = cast("Mapping[str | int, object]", found)[step]
    return found


def test_a_gpu_server_asks_for_its_slice_and_for_nothing_privileged(spawner: RealSpawner) -> None:
    pod, _ = manifests(spawner, "gpu-small")
    container = at(pod, "spec", "containers", 0)
    assert at(container, "resources", "limits") == {"nvidia.com/mig-1g.10gb": 1}
    assert at(container, "resources", "requests") == {"cpu": 2.0, "memory": 1536 * 2**20}
    assert at(container, "security_context", "allowPrivilegeEscalation") is False
    assert at(container, "security_context", "capabilities") == {"drop": ["ALL"]}
    assert at(container, "security_context", "runAsNonRoot") is True
    assert at(pod, "spec", "automount_service_account_token") is False
    assert at(pod, "spec", "service_account_name") is None
    assert at(pod, "spec", "priority_class_name") == "interactive-test"
    assert not at(pod, "spec", "init_containers")
    assert len(cast("Sequence[object]", at(pod, "spec", "containers"))) == 1


def test_under_the_lax_policy_a_server_has_no_limit(spawner: RealSpawner) -> None:
    pod, _ = manifests(spawner, "minimal")
    assert at(pod, "spec", "containers", 0, "resources", "limits") == {}
    assert at(pod, "spec", "containers", 0, "resources", "requests") == {"cpu": 0.1, "memory": 512 * 2**20}


def test_the_home_is_the_accounts_and_the_shared_folders_are_mounted(spawner: RealSpawner) -> None:
    pod, claim = manifests(spawner, "minimal")
    name = claim_name("github|123", "lab.eu.auth0.com")
    assert at(claim, "metadata", "name") == name
    assert at(claim, "spec", "storage_class_name") == "homes-test"
    volumes = cast("Sequence[Mapping[str, object]]", at(pod, "spec", "volumes"))
    claims = {volume["name"]: volume["persistent_volume_claim"] for volume in volumes if volume["name"] != NOTICES}
    assert claims == {
        "home": {"claimName": name},
        "shared-datasets": {"claimName": "shared-datasets", "readOnly": True},
        "shared-notebooks": {"claimName": "shared-notebooks", "readOnly": False},
    }
    mounts = cast("Sequence[Mapping[str, object]]", at(pod, "spec", "containers", 0, "volume_mounts"))
    assert {mount["mount_path"]: bool(mount["read_only"]) for mount in mounts if mount["name"] != NOTICES} == {
        "/home/jovyan": False,
        "/shared/datasets": True,
        "/shared/notebooks": False,
    }


def test_the_home_that_is_asked_for_is_the_claim_that_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("requests", "answers"):
        (tmp_path / name).mkdir()
    facts = dataclasses.replace(FACTS, home_requests="shared-home-requests")
    asking = {
        **cast("Mapping[str, object]", at(hub_values(hub(), facts), "custom", "lab", "homeRequests")),
        "folder": str(tmp_path),
    }
    spawner = configured_spawner(facts, monkeypatch, homeRequests=asking)
    with storage_host(tmp_path, lambda _: "version 1\nstatus made\npath /x\nreason \n") as asked:
        pod, claim = manifests(spawner, "minimal")
    namespace, name = at(pod, "metadata", "namespace") or spawner.namespace, at(claim, "metadata", "name")
    assert name == claim_name("github|123", "lab.eu.auth0.com")
    context = at(pod, "spec", "containers", 0, "security_context")
    uid, gid = at(context, "runAsUser"), at(context, "runAsGroup")
    assert [text for _, text in asked] == [f"version 1\nnamespace {namespace}\nclaim {name}\nuid {uid}\ngid {gid}\n"]


def test_a_forged_profile_is_refused(spawner: RealSpawner) -> None:
    spawner.user_options = {"profile": "gpu-huge"}
    with pytest.raises(ValueError, match="No such profile: gpu-huge"):
        asyncio.run(spawner.load_user_options())


def test_a_profile_of_another_group_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spawner = configured_spawner(FACTS, monkeypatch, groups={"gpu-small": ["lab"]})
    spawner.user_options = {"profile": "gpu-small"}
    with pytest.raises(ValueError, match=r"No such profile: gpu-small\. Options include: minimal"):
        asyncio.run(spawner.load_user_options())


@pytest.mark.parametrize("scheduler", [None, "packing"])
def test_a_server_names_the_scheduler_of_its_section(scheduler: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    spawner = configured_spawner(dataclasses.replace(FACTS, servers_scheduler=scheduler), monkeypatch)
    pod, _ = manifests(spawner, "minimal")
    assert at(pod, "spec", "scheduler_name") == scheduler


def test_the_charts_own_scheduler_would_take_the_servers_and_is_off() -> None:
    assert at(hub_values(hub(), FACTS), "scheduling", "userScheduler") == {"enabled": False}
