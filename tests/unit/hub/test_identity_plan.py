"""Identities in the stack file, what is wrong with them, and what becomes of them as resources."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hub_labs import DIGEST, NETWORK, hub
from pydantic import ValidationError

from components.hub.config import HomeKey
from components.hub.errors import MissingBindPasswordError
from components.hub.files.lab_hub.identity import MOST_TABLE_BYTES
from components.hub.identity.checks import check_identity
from components.hub.identity.component import Identities, IdentitiesArgs
from components.hub.identity.config import LdapIdentity, StaticIdentity
from components.hub.identity.plan import (
    PROGRAM_FILES,
    bind_password,
    identities_namespace,
    static_table,
    sync_settings,
    table_bytes,
)
from components.images import ImageReference
from components.namespaces.flows import NetworkPeer
from components.pins import ImagePin, Pins
from labctl.graph.errors import GraphError
from labctl.graph.program import Program
from labctl.graph.record import record
from labctl.graph.values import Secret, contains_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.goal import Goal

CANARY = "c4n4ry-b1nd-password"
STATIC: dict[str, object] = {
    "kind": "static",
    "groups": {"imaging": 6001, "lab": 6000},
    "users": {
        "ada": {"uid": 5001, "gid": 6000, "groups": ["imaging"]},
        "bo@lab.org": {"uid": 5002, "gid": 100},
    },
}
DIRECTORY: dict[str, object] = {
    "server": "ldap.lab.org",
    "networks": ["198.51.100.0/28"],
    "bindDn": "cn=hub,dc=lab,dc=org",
    "bindPassword": {"secret": "directoryPassword"},
    "users": {"base": "ou=people,dc=lab,dc=org"},
    "groups": {"base": "ou=groups,dc=lab,dc=org"},
}
LDAP: dict[str, object] = {"kind": "ldap", "directory": DIRECTORY}
CLAIMS: dict[str, object] = {"kind": "claims"}
HOMES = {"capacity": "1Gi"}
PINS = Pins.model_construct(
    charts={},
    images={
        "k8s-hub": ImagePin.model_construct(image=ImageReference.parse(f"quay.io/jupyterhub/k8s-hub:4.4.0@{DIGEST}"))
    },
)


def static(**changes: object) -> StaticIdentity:
    return StaticIdentity.model_validate({**STATIC, **changes})


def ldap(**changes: object) -> LdapIdentity:
    return LdapIdentity.model_validate({**LDAP, **changes})


def problems(
    identity: Mapping[str, object] | None,
    changes: Mapping[str, object] | None = None,
    *,
    images: tuple[str, ...] = ("k8s-hub",),
    simulated: bool = False,
) -> list[str]:
    section = {"homes": HOMES, **(changes or {})}
    config = hub(**section) if identity is None else hub(identity=dict(identity), **section)
    return [str(problem) for problem in check_identity(config, images=images, is_simulated=simulated)]


@pytest.mark.parametrize(
    ("identity", "key"),
    [(STATIC, HomeKey.UID), (LDAP, HomeKey.UID), (CLAIMS, HomeKey.ACCOUNT), (None, HomeKey.ACCOUNT)],
)
def test_homes_belong_to_user_ids_where_these_are_proven(identity: dict[str, object] | None, key: HomeKey) -> None:
    config = hub(identity=identity, homes=HOMES)
    assert config.homes.key is key
    assert problems(identity) == []


def test_the_program_reads_the_secret_of_a_directory() -> None:
    named = bind_password(hub(identity=LDAP, homes=HOMES))
    assert named is not None
    assert named.secret == "directoryPassword"
    assert bind_password(hub(identity=STATIC, homes=HOMES)) is None
    assert bind_password(hub()) is None


def test_the_table_of_the_stack_files_users() -> None:
    assert static_table(static()) == {
        "ada": "ada:5001:6000:imaging=6001",
        "bo-40lab.org": "bo@lab.org:5002:100:",
        "-groups": "lab=6000",
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"users": {}}, "at least 1 item"),
        ({"users": {"root": {"uid": 5001, "gid": 6000}}}, "every image has another user of that name"),
        ({"users": {"Ada": {"uid": 5001, "gid": 6000}}}, "the hub knows users in lower case: ada"),
        ({"users": {"a b": {"uid": 5001, "gid": 6000}}}, "blanks and colons are not possible"),
        ({"users": {"ada": {"uid": 0, "gid": 6000}}}, "greater than or equal to 500"),
        ({"users": {"ada": {"uid": 5001, "gid": 0}}}, "greater than or equal to 100"),
        ({"users": {"ada": {"uid": 2**31, "gid": 6000}}}, "less than or equal to 2147483647"),
        ({"users": {"ada": {"uid": 5001, "gid": 6000, "groups": ["x"]}}}, "ada is in x, which has no id here"),
        ({"groups": {"a=b": 6001}}, "colons, commas and equals signs are not possible"),
        ({"groups": {"nogroup": 6001}}, "every image has another group of that name"),
        ({"uids": {"first": 5000, "last": 4000}}, "the range from 5000 to 4000 is empty"),
        ({"uids": {"first": 0}}, "greater than or equal to 500"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        static(**changes)


def test_half_of_a_login_at_the_directory_is_refused() -> None:
    for missing in ("bindDn", "bindPassword"):
        with pytest.raises(ValidationError, match="bindDn"):
            ldap(directory={key: value for key, value in DIRECTORY.items() if key != missing})


def test_the_bind_password_is_never_in_the_stack_file() -> None:
    with pytest.raises(ValidationError, match="stands here in plain text"):
        ldap(directory={**DIRECTORY, "bindPassword": CANARY})


@pytest.mark.parametrize(
    ("identity", "changes", "said"),
    [
        (None, {"homes": {**HOMES, "key": "uid"}}, "homes.key: homes belong to user ids, but nothing says them; "),
        (STATIC, {"homes": {**HOMES, "key": "account"}}, "homes.key: servers run with their users' own ids, but homes"),
        (LDAP, {"homes": {**HOMES, "key": "username"}}, "belong to usernames; set key: uid, or drop it"),
        (CLAIMS, {"homes": {**HOMES, "key": "uid"}}, "homes.key: a user id that only a claim says names no home"),
        (
            CLAIMS,
            {"homes": {**HOMES, "key": "username"}, "authentication": {"kind": "dummy"}},
            "identity.kind: the sign-in dummy has no claims with ids; choose static or ldap",
        ),
        (
            {**STATIC, "users": {"ada": {"uid": 5001, "gid": 6000}, "bo": {"uid": 5001, "gid": 6000}}},
            {},
            "identity.users: ada and bo have the user id 5001",
        ),
        (
            {**STATIC, "groups": {"lab": 6000, "imaging": 6000}},
            {},
            "identity.groups: lab and imaging have the group id",
        ),
        (
            {**STATIC, "users": {"ada": {"uid": 60000, "gid": 999}}},
            {},
            "identity.users.ada.uid: 60000 is not among 1000 to 59999; choose another, or widen hub.identity.uids",
        ),
        ({**STATIC, "users": {"ada": {"uid": 5001, "gid": 999}}}, {}, "identity.users.ada.gid: 999 is not among"),
        ({**STATIC, "groups": {"imaging": 6001, "lab": 101}}, {}, "identity.groups.lab: 101 is not among"),
        (
            {**STATIC, "uids": {"last": 70000}, "users": {"ada": {"uid": 65534, "gid": 6000}}},
            {},
            "identity.users.ada.uid: 65534 is nobody's id everywhere",
        ),
        ({**LDAP, "directory": {**DIRECTORY, "tls": "none"}}, {}, "identity.directory.tls: whoever is on the way"),
    ],
)
def test_what_contradicts_itself_is_said(
    identity: Mapping[str, object] | None, changes: dict[str, object], said: str
) -> None:
    found = problems(identity, changes)
    assert any(said in problem for problem in found), found


def test_a_directory_needs_the_image_its_program_runs_in() -> None:
    (problem,) = problems(LDAP, images=())
    assert "the image k8s-hub, which is not pinned" in problem
    assert problems(STATIC, images=()) == []


def test_a_directory_in_the_clear_is_for_simulated_clusters() -> None:
    assert problems({**LDAP, "directory": {**DIRECTORY, "tls": "none"}}, simulated=True) == []


def test_more_users_than_one_object_holds_are_refused_with_the_size() -> None:
    groups = {f"a-long-name-of-a-project-{number}": 6000 + number for number in range(40)}
    users = {f"user{number}": {"uid": 5001 + number, "gid": 6000, "groups": list(groups)} for number in range(900)}
    identity = {"kind": "static", "groups": groups, "users": users}
    size = table_bytes(static_table(StaticIdentity.model_validate(identity)))
    assert size > MOST_TABLE_BYTES
    (problem,) = problems(identity)
    assert problem.startswith(f"identity.users: 900 users take {size} bytes, and one object holds {MOST_TABLE_BYTES}; ")


def test_what_the_program_is_told_has_no_password() -> None:
    text = sync_settings(ldap(mostLost=10, every="1m"), "identities-test")
    told = json.loads(text)
    assert CANARY not in text
    assert "assword" not in text
    assert (told["everySeconds"], told["mostLost"], told["namespace"]) == (60, 10, "identities-test")
    assert told["directory"]["port"] == 636
    assert told["directory"]["groups"]["membersBy"] == "name"


def test_the_table_of_a_stack_file_has_a_closed_namespace_and_a_directorys_reaches_the_directory() -> None:
    assert identities_namespace(static(), NETWORK, "test").flows == ()
    flows = {flow.name: flow for flow in identities_namespace(ldap(), NETWORK, "test").flows}
    assert set(flows) == {"to-dns", "to-api-server", "sync-to-directory"}
    (peer,) = flows["sync-to-directory"].peers
    assert isinstance(peer, NetworkPeer)
    assert str(peer.network) == "198.51.100.0/28"
    assert [port.number for port in flows["sync-to-directory"].ports] == [636]


def goals(config: StaticIdentity | LdapIdentity, password: str | None = CANARY) -> Mapping[str, Goal]:
    def entry() -> None:
        Identities(
            "identities",
            IdentitiesArgs(
                config=config,
                stack="test",
                network=NETWORK,
                pins=PINS,
                hub_namespace="hub-test",
                bind_password=password,
            ),
        )

    graph = record(Program(project="p", stack="test", entry=entry))
    return {goal.name: goal for goal in graph.goals if goal.parent and "NetworkPolicy" not in goal.type}


def inputs(goal: Goal) -> Any:  # noqa: ANN401 - an object of the cluster, as JSON has it
    return cast("Any", goal.inputs)


def test_the_hub_reads_one_object_and_writes_none() -> None:
    made = goals(static())
    assert set(made) == {
        "identities",
        "identities-namespace",
        "identities-hub-role",
        "identities-hub-binding",
        "identities-table",
    } | {"identities-namespace"}
    (rule,) = inputs(made["identities-hub-role"])["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["identities"],
        "verbs": ["get", "watch"],
    }
    assert inputs(made["identities-hub-binding"])["subjects"] == [
        {"kind": "ServiceAccount", "name": "hub", "namespace": "hub-test"}
    ]
    assert inputs(made["identities-table"])["data"] == static_table(static())


def test_the_sync_runs_restricted_and_its_password_comes_sealed() -> None:
    made = goals(ldap())
    assert {name.removeprefix("identities-") for name in made} >= {"account", "role", "binding", "password", "sync"}
    assert "identities-table" not in made, "the sync makes it"
    assert isinstance(inputs(made["identities-password"])["stringData"], Secret) or contains_secret(
        inputs(made["identities-password"])["stringData"]
    )
    assert not any(CANARY in str(goal.inputs) for name, goal in made.items() if name != "identities-password")
    pod = inputs(made["identities-sync"])["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["image"] == f"quay.io/jupyterhub/k8s-hub:4.4.0@{DIGEST}"
    assert container["resources"]["limits"]
    assert inputs(made["identities-sync"])["spec"]["strategy"] == {"type": "Recreate"}


def test_every_file_of_the_program_is_mounted_where_python_looks_for_it() -> None:
    made = goals(ldap())
    pod = inputs(made["identities-sync"])["spec"]["template"]["spec"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "program"]
    paths = {item["path"]: item["key"] for item in volume["configMap"]["items"]}
    data = inputs(made["identities-program"])["data"]
    assert set(paths.values()) == set(data)
    assert {path: data[key] for path, key in paths.items() if path.startswith("lab/")} == {
        f"lab/{path}": text for path, text in PROGRAM_FILES.items()
    }
    assert {"lab/identity_sync/__main__.py", "lab/lab_hub/identity.py", "settings.json"} <= set(paths)


def test_another_program_or_other_settings_make_the_pod_anew() -> None:
    def digest(config: LdapIdentity) -> str:
        template = inputs(goals(config)["identities-sync"])["spec"]["template"]
        return template["metadata"]["annotations"]["lab.internal/program"]

    assert digest(ldap()) == digest(ldap())
    assert digest(ldap()) != digest(ldap(mostLost=10))


def test_a_password_that_is_not_set_is_said_by_its_place() -> None:
    with pytest.raises((MissingBindPasswordError, GraphError), match=r"hub\.identity\.directory\.bindPassword"):
        goals(ldap(), None)


def test_an_anonymous_sync_has_no_secret() -> None:
    open_directory = {key: value for key, value in DIRECTORY.items() if not key.startswith("bind")}
    made = goals(ldap(directory=open_directory), None)
    assert "identities-password" not in made
    pod = inputs(made["identities-sync"])["spec"]["template"]["spec"]
    assert {volume["name"] for volume in pod["volumes"]} == {"program", "state"}
