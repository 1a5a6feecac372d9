"""The health service's token and the database's password as resources."""

from __future__ import annotations

import pulumi
import pytest
from hub_labs import NETWORK, SLICES, hub
from pulumi_random import RandomPassword
from test_hub_component import CANARY, PINS, plain_texts

from components.hub.component import Hub, HubArgs
from components.storage.claims import SharedVolumes
from labctl.graph.program import Program
from labctl.graph.record import record
from labctl.graph.values import Secret, Value, as_mapping

PASSWORD = "c4n4ry-database-password"
DATABASE = {
    "kind": "postgres",
    "host": "db.lab.org",
    "networks": ["192.0.2.60/32"],
    "password": {"secret": "hubDatabasePassword"},
}


class Drawn(RandomPassword):
    """A password that is known: in a preview the Secret of them all would be unknown."""

    @property
    def result(self) -> pulumi.Output[str]:
        return pulumi.Output.secret(f"c4n4ry-{self._name}")


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.hub.component.RandomPassword", Drawn)


def goals(*, password: str | None = None, **section: object) -> dict[str, dict[str, Value]]:
    """Return the inputs of what the component registers, by name."""

    def entry() -> None:
        Hub(
            "hub",
            HubArgs(
                config=hub(**section),
                stack="test",
                pins=PINS,
                network=NETWORK,
                shared=SharedVolumes(claimed=()),
                home_class=pulumi.Output.from_input("homes-test"),
                slices=SLICES,
                client_secret=CANARY,
                database_password=password,
            ),
        )

    graph = record(Program(project="p", stack="test", entry=entry))
    return {goal.name: dict(goal.inputs) for goal in graph.goals if goal.parent}


def keys_of(found: dict[str, dict[str, Value]]) -> dict[str, Value]:
    content = found["hub-keys"]["stringData"]
    return dict(as_mapping(content.value if isinstance(content, Secret) else content))


def test_the_health_token_is_made_and_kept_where_the_chart_looks() -> None:
    found = goals(healthCheck={})
    assert "hub-health" in found
    assert keys_of(found) == {
        "hub.config.JupyterHub.cookie_secret": "c4n4ry-hub-cookie",
        "hub.config.CryptKeeper.keys": "c4n4ry-hub-crypt",
        "hub.services.health.apiToken": "c4n4ry-hub-health",
    }


def test_without_a_test_user_there_is_no_token() -> None:
    found = goals()
    assert "hub-health" not in found
    assert not any("health" in key for key in keys_of(found))


def test_the_databases_password_is_in_a_secret_alone() -> None:
    found = goals(password=PASSWORD, database=DATABASE)
    assert keys_of(found)["hub.db.password"] == PASSWORD
    assert isinstance(found["hub-keys"]["stringData"], Secret)
    assert not any("c4n4ry" in text for inputs in found.values() for text in plain_texts(inputs))
