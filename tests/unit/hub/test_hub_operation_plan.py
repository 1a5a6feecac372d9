"""The hub's database and test user as the stack file says them, in the chart's terms."""

from __future__ import annotations

import asyncio
import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hub_labs import FACTS, NETWORK, SECTION, hub
from pydantic import TypeAdapter, ValidationError

from components.hub.files.lab_hub.health import HEALTH_CLAIM, own_home
from components.hub.files.lab_hub.homes import HomeSettings, NoAccountError, name_claim
from components.hub.operation.checks import check_operation
from components.hub.operation.config import DatabaseConfig, PostgresDatabase, VolumeDatabase
from components.hub.operation.plan import (
    AUTHORITY,
    TRUSTED,
    database_flows,
    database_password,
    database_url,
    health_profile,
    operation_part,
)
from components.hub.values import hub_values
from components.namespaces.flows import Direction, NetworkPeer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.config import HubConfig
    from components.hub.files.lab_hub.objects import Spawner

POSTGRES: dict[str, object] = {
    "kind": "postgres",
    "host": "db.lab.org",
    "networks": ["192.0.2.60/32"],
    "password": {"secret": "hubDatabasePassword"},
}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
ADAPTER: TypeAdapter[VolumeDatabase | PostgresDatabase] = TypeAdapter(DatabaseConfig)


def postgres(**changes: object) -> HubConfig:
    return hub(database={**POSTGRES, **changes})


def hub_section(config: HubConfig) -> Mapping[str, object]:
    return cast("Mapping[str, object]", hub_values(config, FACTS)["hub"])


@pytest.mark.parametrize("section", [{}, {"capacity": "2Gi"}, {"kind": "volume", "capacity": "2Gi"}])
def test_a_database_without_a_kind_is_on_a_volume(section: object) -> None:
    database = ADAPTER.validate_python(section)
    assert isinstance(database, VolumeDatabase)
    assert str(database.capacity) == ("2Gi" if section else "1Gi")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"kind": "mysql"}, ()),
        ({"capacity": "1Gi"}, ("postgres", "capacity")),
        ({"password": "plain"}, ("postgres", "password")),
        ({"networks": []}, ("postgres", "networks")),
        ({"name": 'hub"; drop'}, ("postgres", "name")),
        ({"user": "Hub"}, ("postgres", "user")),
        ({"host": "db_1"}, ("postgres", "host")),
        ({"authority": "not a certificate"}, ("postgres", "authority")),
    ],
)
def test_what_no_server_is_called_is_refused(change: Mapping[str, object], place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as failure:
        ADAPTER.validate_python({**POSTGRES, **change})
    assert [error["loc"] for error in failure.value.errors()] == [place]


def test_a_volume_is_the_charts_own_claim() -> None:
    assert hub_section(hub(database={"capacity": "2Gi"}))["db"] == {
        "type": "sqlite-pvc",
        "pvc": {"accessModes": ["ReadWriteOnce"], "storage": "2Gi", "storageClassName": FACTS.home_class},
    }


def test_a_server_is_named_without_its_password() -> None:
    assert hub_section(postgres())["db"] == {
        "type": "postgres",
        "url": f"postgresql+psycopg2://jupyterhub@db.lab.org:5432/jupyterhub?sslmode=verify-full&sslrootcert={TRUSTED}",
        "upgrade": False,
    }
    named = database_password(postgres())
    assert named is not None
    assert named.secret == "hubDatabasePassword"
    assert database_password(hub()) is None


def test_the_labs_own_authority_is_a_file_of_the_hub() -> None:
    config = postgres(authority=PEM, port=6432, name="hub", user="hub_owner", upgrade=True)
    section = hub_section(config)
    assert isinstance(config.database, PostgresDatabase)
    assert database_url(config.database).startswith("postgresql+psycopg2://hub_owner@db.lab.org:6432/hub?")
    assert database_url(config.database).endswith(f"sslrootcert={AUTHORITY}")
    files = cast("Mapping[str, Mapping[str, object]]", section["extraFiles"])
    assert [(file["mountPath"], file["stringData"]) for file in files.values() if file["mountPath"] == AUTHORITY] == [
        (AUTHORITY, PEM)
    ]
    assert cast("Mapping[str, object]", section["db"])["upgrade"] is True


def test_only_the_hub_reaches_the_server() -> None:
    (flow,) = database_flows(postgres(port=6432), NETWORK, {"component": "hub"})
    assert flow.direction is Direction.EGRESS
    assert flow.pods == {"component": "hub"}
    (peer,) = flow.peers
    assert isinstance(peer, NetworkPeer)
    assert str(peer.network) == "192.0.2.60/32"
    assert [port.number for port in flow.ports] == [6432]
    assert list(database_flows(hub(), NETWORK, {"component": "hub"})) == []


def test_without_a_test_user_there_is_no_service() -> None:
    part = operation_part(hub(), FACTS)
    assert (part.services, part.roles, part.settings) == ({}, {}, {})
    assert health_profile(hub()) is None


def test_the_service_has_one_users_server_and_the_hub_makes_the_user() -> None:
    config = hub(healthCheck={"user": "canary", "profile": "gpu-small"})
    part = operation_part(config, FACTS)
    roles = cast("Mapping[str, Mapping[str, object]]", part.roles)
    assert part.services == {"health": {}}
    assert roles["health"]["scopes"] == ["read:hub", "servers!user=canary", "access:servers!user=canary"]
    assert roles["health"]["services"] == ["health"]
    assert (roles["health-user"]["scopes"], roles["health-user"]["users"]) == ([], ["canary"])
    assert part.settings == {"health": {"user": "canary"}}
    assert health_profile(config) == "gpu-small"
    assert health_profile(hub(healthCheck={})) == "minimal"


def with_group() -> list[object]:
    profiles = cast("list[dict[str, object]]", copy.deepcopy(SECTION["profiles"]))
    profiles[1]["groups"] = ["vision"]
    return list(profiles)


@pytest.mark.parametrize(
    ("section", "path", "what"),
    [
        ({"healthCheck": {"profile": "nothing"}}, ("healthCheck", "profile"), "there is no profile nothing"),
        (
            {"healthCheck": {"profile": "gpu-small"}, "profiles": with_group()},
            ("healthCheck", "profile"),
            "the profile gpu-small is for vision, and the test user is in no group",
        ),
        (
            {
                "healthCheck": {"user": "boss"},
                "authentication": {**cast("dict[str, object]", SECTION["authentication"]), "admins": ["boss"]},
            },
            ("healthCheck", "user"),
            "boss is somebody who may sign in",
        ),
    ],
)
def test_a_test_user_that_cannot_be_is_refused(section: Mapping[str, object], path: object, what: str) -> None:
    problems = check_operation(hub(**section))
    assert [(problem.path, problem.what) for problem in problems] == [(path, what)]


def spawner_of(name: str) -> Spawner:
    async def kept() -> None:
        return None

    user = SimpleNamespace(name=name, groups=(), get_auth_state=kept)
    return cast("Spawner", SimpleNamespace(user=user, pvc_name="unassigned"))


HOME: HomeSettings = {"issuer": "lab.org", "userInfo": "oauth_user", "claims": ["sub"]}


def test_the_test_user_has_a_home_without_an_account_and_nobody_else_has() -> None:
    step = own_home({"user": "canary"}, name_claim(HOME))
    canary, ada = spawner_of("canary"), spawner_of("ada")
    asyncio.run(step(canary))
    assert canary.pvc_name == HEALTH_CLAIM
    with pytest.raises(NoAccountError):
        asyncio.run(step(ada))
    assert ada.pvc_name == "unassigned"
