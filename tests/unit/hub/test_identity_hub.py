"""Whom a server runs as, by the hub's own classes: where ids are looked up, what the pod says, who is refused."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hub_labs import FACTS, hub

from components.hub.files.lab_hub.identities import (
    ASK_AGAIN_SECONDS,
    FRESH_SECONDS,
    STALE_SECONDS,
    ClaimSource,
    ForeignIdsError,
    Found,
    IdentitiesAwayError,
    NoIdentityError,
    TableSource,
    TableUnreadableError,
    UnusableClaimsError,
)
from components.hub.files.lab_hub.identity import Identity
from components.hub.files.lab_hub.wear_identity import refuse_without_identity, wear_identity
from components.hub.plan import hub_values

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from components.hub.files.lab_hub.identities import ClaimSettings, IdentitySettings, IdentitySource, Table
    from components.hub.files.lab_hub.objects import HubConfiguration

LOG = cast("Any", logging.getLogger("hub"))
ADA = Identity.of("ada", 5001, 6000, {"imaging": 6001, "Domain {Users}": 6002})
STATIC = {
    "kind": "static",
    "groups": {"lab": 6000, "imaging": 6001, "Domain {Users}": 6002},
    "users": {"ada": {"uid": 5001, "gid": 6000, "groups": ["imaging", "Domain {Users}"]}},
}
TABLE = {"ada": ADA.row(), "-groups": "lab=6000"}


def run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever comes of it
    return asyncio.run(work)


def settings_of(identity: Mapping[str, object] = STATIC) -> Mapping[str, Any]:
    config = hub(identity=dict(identity), homes={"capacity": "1Gi"})
    values = cast("Any", hub_values(config, dataclasses.replace(FACTS, identities="identities-test")))
    return values["custom"]["lab"]


def identity_settings(identity: Mapping[str, object] = STATIC, **changes: object) -> IdentitySettings:
    return cast("IdentitySettings", {**settings_of(identity)["identity"], **changes})


class Clock:
    """Seconds, as told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """A table that is read, and counts how often."""

    def __init__(self, table: Table) -> None:
        self.table, self.reads, self.is_away = table, 0, False

    async def __call__(self) -> Table:
        self.reads += 1
        await asyncio.sleep(0)
        if self.is_away:
            where = ("identities-test", "identities")
            raise TableUnreadableError(*where, OSError("away"))
        return self.table


class Bed:
    """A source over a table, and its clock."""

    def __init__(self, table: Table | None = None) -> None:
        self.reader, self.clock = Reader(TABLE if table is None else table), Clock()
        self.source = TableSource(self.reader, self.clock)

    def find(self, name: str = "ada") -> Found | None:
        return run(self.source.find(name, None, LOG))


def test_somebody_in_the_table_is_found_with_the_primary_groups_name() -> None:
    assert Bed().find() == Found(ADA, "lab")


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"ada": "bo:5002:100:"},
        {"ada": "no row"},
        {"ada": ADA.row(), "-groups": "no groups"},
        {"ADA": ADA.row()},
    ],
)
def test_a_row_that_is_not_theirs_is_nobodys(table: Table) -> None:
    assert Bed(table).find() is None


def test_a_name_without_a_key_is_nobody() -> None:
    assert Bed().find("\ud800") is None


def test_a_crowd_reads_the_table_once() -> None:
    bed = Bed()

    async def crowd() -> None:
        await asyncio.gather(*(bed.source.find(name, None, LOG) for name in ("ada", "bo", "cy") * 50))

    run(crowd())
    assert bed.reader.reads == 1


def test_the_table_is_read_again_when_it_is_old_or_for_somebody_new() -> None:
    bed = Bed()
    bed.find()
    bed.clock.now = FRESH_SECONDS
    bed.find()
    assert bed.reader.reads == 1
    assert bed.find("bo") is None
    assert bed.reader.reads == 2, "somebody who is not in it may just have come"
    bed.find("bo")
    assert bed.reader.reads == 2, "but is not asked for without end"
    bed.reader.table = {**TABLE, "bo": "bo:5002:100:"}
    bed.clock.now += ASK_AGAIN_SECONDS + 0.1
    assert bed.find("bo") == Found(Identity.of("bo", 5002, 100, {}))
    bed.reader.table = {"bo": "bo:5002:100:"}
    bed.clock.now += FRESH_SECONDS + 0.1
    assert bed.find() is None, "who was struck from it has no ids any more"


def test_while_the_api_server_is_away_what_was_known_holds_for_an_hour() -> None:
    bed = Bed()
    bed.find()
    bed.reader.is_away = True
    bed.clock.now = STALE_SECONDS - 1
    assert bed.find() == Found(ADA, "lab")
    bed.clock.now = STALE_SECONDS + 1
    with pytest.raises(IdentitiesAwayError) as refusal:
        bed.find()
    assert "cannot look up your user id at the moment" in refusal.value.jupyterhub_message
    assert "away" in str(refusal.value)
    bed.reader.is_away = False
    bed.clock.now += ASK_AGAIN_SECONDS + 0.1
    assert bed.find() == Found(ADA, "lab")


def test_a_table_never_read_is_no_reason_to_say_somebody_has_no_ids() -> None:
    bed = Bed()
    bed.reader.is_away = True
    with pytest.raises(IdentitiesAwayError):
        bed.find()


CLAIMS = cast("ClaimSettings", {"userInfo": "oauth_user", "uid": "uidNumber", "gid": "gidNumber", "groups": "gids"})


def claimed(**claims: object) -> Found | None:
    return run(ClaimSource(CLAIMS).find("ada", {"oauth_user": claims}, LOG))


@pytest.mark.parametrize(
    "groups",
    [[6001, 6002], ["6001", "6002"], ["group6001=6001", "group6002=6002"], {"group6001": 6001, "group6002": "6002"}],
)
def test_claims_say_ids_as_numbers_or_texts(groups: object) -> None:
    found = claimed(uidNumber="5001", gidNumber=6000, gids=groups)
    assert found == Found(Identity.of("ada", 5001, 6000, {"group6001": 6001, "group6002": 6002}))


@pytest.mark.parametrize("claims", [{}, {"uidNumber": 5001}, {"gidNumber": 5001}, {"uidNumber": "", "gidNumber": 1}])
def test_claims_without_ids_are_nobodys(claims: dict[str, object]) -> None:
    assert claimed(**claims) is None


@pytest.mark.parametrize("state", [None, {}, {"oauth_user": None}])
def test_who_has_no_claims_is_nobody(state: Mapping[str, object] | None) -> None:
    assert run(ClaimSource(CLAIMS).find("ada", state, LOG)) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"uidNumber": True, "gidNumber": 1},
        {"uidNumber": -1, "gidNumber": 1},
        {"uidNumber": 1.5, "gidNumber": 1},
        {"uidNumber": "five", "gidNumber": 1},
        {"uidNumber": 1, "gidNumber": 1, "gids": "6001"},
        {"uidNumber": 1, "gidNumber": 1, "gids": ["students"]},
        {"uidNumber": 1, "gidNumber": 1, "gids": ["a:b=6001"]},
    ],
)
def test_claims_that_are_no_ids_are_refused(claims: dict[str, object]) -> None:
    with pytest.raises(UnusableClaimsError):
        claimed(**claims)


class Fixed:
    """A source that knows some."""

    def __init__(self, *identities: Identity) -> None:
        self.known = {identity.username: identity for identity in identities}

    async def find(self, username: str, auth_state: object, log: object) -> Found | None:
        found = self.known.get(username)
        return None if found is None else Found(found, "lab")


class User:
    """The user a server is for."""

    id, groups = 7, ()

    def __init__(self, name: str = "ada", state: Mapping[str, object] | None = None) -> None:
        self.name, self.state = name, state

    async def get_auth_state(self) -> Mapping[str, object] | None:
        return self.state


def _nothing(*_given: object, **_named: object) -> None:
    """Stand for what would look for a cluster."""


def dressed_pod(
    source: IdentitySource, name: str = "ada", identity: Mapping[str, object] = STATIC
) -> Mapping[str, Any]:
    """Return the pod KubeSpawner makes once the server has its user's ids, as JSON has it."""
    spawner_module = pytest.importorskip("kubespawner.spawner", reason="the hub's own packages are not installed")
    configuration = pytest.importorskip("traitlets.config")
    client = pytest.importorskip("kubernetes_asyncio.client")
    config = hub(identity=dict(identity), homes={"capacity": "1Gi"})
    values = cast("Any", hub_values(config, dataclasses.replace(FACTS, identities="identities-test")))
    storage = values["singleuser"]["storage"]
    c = configuration.Config({"KubeSpawner": dict(values["hub"]["config"]["KubeSpawner"])})
    # As the chart hands these over (``jupyterhub_config.py``).
    c.KubeSpawner.uid, c.KubeSpawner.fs_gid = values["singleuser"]["uid"], values["singleuser"]["fsGid"]
    c.KubeSpawner.volumes, c.KubeSpawner.volume_mounts = storage["extraVolumes"], storage["extraVolumeMounts"]
    step = wear_identity(values["custom"]["lab"]["identity"], source)
    with pytest.MonkeyPatch.context() as patch:
        for each in ("load_config", "shared_client"):
            patch.setattr(spawner_module, each, _nothing)
        spawner = spawner_module.KubeSpawner(config=c, _mock=True)
        spawner.user = cast("Any", User(name))

        async def manifest() -> Mapping[str, Any]:
            # A second start of the same server begins with what the first left.
            await step(spawner)
            await step(spawner)
            patch.setattr(spawner, "get_env", lambda: spawner._expand_env(spawner.environment))
            pod = await spawner.get_pod_manifest()
            async with client.ApiClient() as api:
                return api.sanitize_for_serialization(pod)

        return run(manifest())


def test_the_pod_has_exactly_its_users_ids() -> None:
    pod = dressed_pod(Fixed(ADA))
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert spec["securityContext"] == {
        "runAsUser": 5001,
        "runAsGroup": 6000,
        "runAsNonRoot": True,
        "supplementalGroups": [6001, 6002],
        "supplementalGroupsPolicy": "Strict",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "runAsUser": 5001,
        "runAsGroup": 6000,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not spec.get("initContainers")


def test_passwd_and_group_are_the_pods_own_annotations_over_any_image() -> None:
    pod = dressed_pod(Fixed(ADA))
    annotations, (container,) = pod["metadata"]["annotations"], pod["spec"]["containers"]
    assert annotations["lab.internal/identity"] == "ada"
    assert annotations["hub.jupyter.org/username"] == "ada"
    assert annotations["lab.internal/passwd"].splitlines()[-1] == "ada:x:5001:6000:ada:/home/jovyan:/bin/bash"
    assert annotations["lab.internal/group"].splitlines()[-3:] == [
        "lab:x:6000:",
        "imaging:x:6001:ada",
        "Domain {Users}:x:6002:ada",
    ]
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "lab-identity"]
    assert volume["downwardAPI"]["items"] == [
        {"path": "passwd", "fieldRef": {"fieldPath": "metadata.annotations['lab.internal/passwd']"}},
        {"path": "group", "fieldRef": {"fieldPath": "metadata.annotations['lab.internal/group']"}},
    ]
    mounts = sorted(
        (each for each in container["volumeMounts"] if each["name"] == "lab-identity"),
        key=lambda each: each["mountPath"],
    )
    assert mounts == [
        {"name": "lab-identity", "mountPath": f"/etc/{name}", "subPath": name, "readOnly": True}
        for name in ("group", "passwd")
    ]


@pytest.mark.parametrize("name", ["ada-{username}", "{ada}", "żółw@lab.org", "we*(ird)\\", "ends-"])
def test_odd_names_reach_the_pod_as_they_are(name: str) -> None:
    pod = dressed_pod(Fixed(Identity.of(name, 5001, 6000, {})), name)
    annotations = pod["metadata"]["annotations"]
    assert annotations["lab.internal/passwd"].splitlines()[-1].split(":")[0] == name
    environment = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
    told = {key: environment[key] for key in ("USER", "LOGNAME", "NB_USER", "NB_UID", "NB_GID", "HOME", "SHELL")}
    assert told == {
        **dict.fromkeys(("USER", "LOGNAME", "NB_USER"), name),
        "NB_UID": "5001",
        "NB_GID": "6000",
        "HOME": "/home/jovyan",
        "SHELL": "/bin/bash",
    }


def test_who_has_no_ids_gets_no_server_and_reads_why() -> None:
    with pytest.raises(NoIdentityError) as refusal:
        dressed_pod(Fixed(), "eve")
    assert "You are signed in as eve, but the lab has no user id for that name" in refusal.value.jupyterhub_message


@pytest.mark.parametrize(
    "identity",
    [
        Identity.of("ada", 0, 6000, {}),
        Identity.of("ada", 999, 6000, {}),
        Identity.of("ada", 60000, 6000, {}),
        Identity.of("ada", 5001, 0, {}),
        Identity.of("ada", 5001, 6000, {"docker": 999}),
    ],
)
def test_ids_out_of_range_are_refused_whoever_says_them(identity: Identity) -> None:
    with pytest.raises(ForeignIdsError, match="not among those of people here"):
        dressed_pod(Fixed(identity))


def signed_in(
    source: IdentitySource, name: str, before: object = None, *, required: bool = True
) -> Mapping[str, object]:
    """Return what JupyterHub's own authenticator makes of a sign-in with our hook."""
    auth = pytest.importorskip("jupyterhub.auth", reason="the hub's own packages are not installed")
    configuration = pytest.importorskip("traitlets.config")
    c = configuration.Config()
    if before is not None:
        c.Authenticator.post_auth_hook = before
    refuse_without_identity(cast("HubConfiguration", c), identity_settings(required=required), source)
    authenticator = auth.DummyAuthenticator(config=c, allow_all=True, password="")
    return run(authenticator.get_authenticated_user(SimpleNamespace(), {"username": name, "password": "x"}))


pytestmark = pytest.mark.filterwarnings("ignore:.*DummyAuthenticator.password:DeprecationWarning")


def test_who_has_ids_signs_in() -> None:
    assert signed_in(Fixed(ADA), "ada")["name"] == "ada"


@pytest.mark.parametrize(("name", "said"), [("eve", "signed in as eve"), ("50%s", "signed in as 50%s")])
def test_who_has_none_is_refused_at_the_door_with_the_reason(name: str, said: str) -> None:
    web = pytest.importorskip("tornado.web")
    with pytest.raises(web.HTTPError) as refusal:
        signed_in(Fixed(ADA), name)
    assert refusal.value.status_code == 403
    # As JupyterHub's page of errors says it (``write_error``).
    assert said in refusal.value.log_message % refusal.value.args


def test_who_cannot_be_looked_up_is_told_to_come_again() -> None:
    web = pytest.importorskip("tornado.web")
    bed = Bed()
    bed.reader.is_away = True
    with pytest.raises(web.HTTPError) as refusal:
        signed_in(bed.source, "ada")
    assert refusal.value.status_code == 503


def test_where_ids_are_not_required_the_door_is_open_and_the_server_is_not() -> None:
    assert signed_in(Fixed(ADA), "eve", required=False)["name"] == "eve"


@pytest.mark.parametrize("is_async", [True, False])
def test_an_authenticators_own_hook_goes_first(*, is_async: bool) -> None:
    async def later(_authenticator: object, _handler: object, sign_in: dict[str, object]) -> dict[str, object]:
        return {**sign_in, "name": "ada"}

    def at_once(_authenticator: object, _handler: object, sign_in: dict[str, object]) -> dict[str, object]:
        return {**sign_in, "name": "ada"}

    assert signed_in(Fixed(ADA), "alias", later if is_async else at_once)["name"] == "ada"


def test_the_plan_tells_the_hub_all_of_it() -> None:
    told = settings_of()
    assert told["home"] is None
    assert told["uidHomes"]["account"]["issuer"] == "lab.eu.auth0.com"
    assert told["identity"] == {
        "namespace": "identities-test",
        "configMap": "identities",
        "claims": None,
        "uids": [1000, 59999],
        "gids": [1000, 59999],
        "home": "/home/jovyan",
        "shell": "/bin/bash",
        "required": True,
    }


def test_with_claims_the_hub_looks_into_the_sign_in() -> None:
    told = settings_of({"kind": "claims", "groupsClaim": "gids"})
    assert told["identity"]["namespace"] is None
    assert told["identity"]["claims"] == {
        "userInfo": "auth0_user",
        "uid": "uidNumber",
        "gid": "gidNumber",
        "groups": "gids",
    }
    assert told["home"] is not None
    assert "uidHomes" not in told
