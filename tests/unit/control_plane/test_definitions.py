"""Which CustomResourceDefinitions a restarted API server has to be told of."""

import json
from typing import cast

import pytest

from labctl.control_plane.client import ApiClient
from labctl.control_plane.definitions import MARK, PATH, establish_definitions


class Server:
    """An API server with one definition in each of these states."""

    def __init__(self, **states: dict[str, str]) -> None:
        self.states = states
        self.patches: list[tuple[str, object]] = []

    def request(self, method: str, path: str, body: object = None, **_: object) -> bytes:
        if method == "PATCH":
            self.patches.append((path, body))
            return b"{}"
        items = [
            {
                "metadata": {"name": name, "uid": "u"},
                "status": {"conditions": [{"type": type_, "status": value} for type_, value in state.items()]},
            }
            for name, state in self.states.items()
        ]
        return json.dumps({"items": [*items, {"metadata": {"name": "fresh"}}]}).encode()


@pytest.mark.parametrize(
    ("state", "waits"),
    [
        ({"NamesAccepted": "True", "Established": "False"}, True),
        ({"NamesAccepted": "True"}, True),
        ({"NamesAccepted": "True", "Established": "True"}, False),
        ({"NamesAccepted": "False", "Established": "False"}, False),
        ({}, False),
    ],
)
def test_one_that_was_accepted_and_not_established_is_changed_and_changed_back(
    state: dict[str, str], *, waits: bool
) -> None:
    server = Server(one=state)
    assert establish_definitions(cast("ApiClient", server)) == (("one",) if waits else ())
    marks = [{"metadata": {"annotations": {MARK: value}}} for value in ("true", None)]
    assert server.patches == [(f"{PATH}/one", mark) for mark in marks if waits]
