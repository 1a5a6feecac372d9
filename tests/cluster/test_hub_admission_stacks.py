"""Servers as the stacks have them: every profile's pod, as KubeSpawner makes it, past the stack's own policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, cast

import pytest
from cluster_api import Object
from hub_admission_bed import (
    ANA,
    BO,
    HUB_VARIABLES,
    STATIC,
    UID_HOMES,
    Bed,
    Planned,
    guarded,
    hub_bed,
    hub_section,
    server_objects,
)

from components.hub.files.lab_hub.homes import claim_name
from components.hub.files.lab_hub.identity import Identity
from labctl.control_plane import ControlPlane
from labctl.graph.record import record
from labctl.lab import open_lab

GIVEN = {"guarantee": {"cpu": "100m", "memory": "64Mi"}}
PROFILES = [
    {
        "slug": "chosen",
        "name": "Chosen",
        "default": True,
        "image": "notebook",
        "resources": GIVEN,
        "environment": {"LAB": "{yes}"},
        "tolerations": [{"key": "lab.example.org/teaching", "effect": "NoSchedule"}],
        "network": "closed",
        "options": {
            "gpu": [
                {"key": "none", "name": "None", "default": True},
                {"key": "small", "name": "Small", "gpu": {"slice": "1g.10gb"}},
            ]
        },
        "sidecars": [{"name": "beside", "image": "sidecar", "environment": {"A": "b"}, "resources": GIVEN}],
        "token": {},
    },
    {"slug": "gpu", "name": "GPU", "image": "notebook", "resources": GIVEN, "gpu": {"slice": "1g.10gb"}},
]


def choices(entries: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Yield everything a user can choose on the spawn page, as its form says it."""
    for entry in entries:
        options: Mapping[str, Any] = entry.get("profile_options", {})
        for chosen in product(*(option["choices"] for option in options.values())):
            named = {f"{name}": key for name, key in zip(options, chosen, strict=True)}
            yield {"profile": str(entry["slug"]), **named}


def admitted(bed: Bed, pod: Object, home: Object) -> Object:
    bed.hub.ask("POST", bed.claims(), home).admitted()
    return bed.start(pod).admitted()


@pytest.mark.parametrize("stack", ["dev", "test", "next", "prod"])
def test_every_profile_of_the_stack_is_admitted(control_plane: ControlPlane, root: Path, stack: str) -> None:
    graph = record(open_lab(stack, root).program())
    (hub,) = [goal for goal in graph.goals if goal.name == "hub-jupyterhub"]
    (space,) = [
        goal
        for goal in graph.goals
        if goal.name == "hub-namespace" and goal.type.endswith(":Namespace") and goal.custom
    ]
    values = cast("Mapping[str, Mapping[str, Any]]", hub.inputs["values"])
    labels = cast("Mapping[str, Any]", space.inputs["metadata"])["labels"]
    needs_name = values["custom"]["lab"].get("home") is not None
    home = claim_name("github|123", "lab.eu.auth0.com") if needs_name else None
    people: dict[str, Identity | None] = {"ana": None, "Ana.Novak@lab.org": None}
    if "identity" in values["custom"]["lab"]:
        people = {each.username: each for each in (ANA, BO)}
    with guarded(control_plane, Planned(graph, labels, values, home)) as bed:
        every = list(choices(values["singleuser"]["profileList"]))
        assert len(every) >= 5
        for options in every:
            for user, identity in people.items():
                admitted(bed, *server_objects(values, options, user, identity, home))


@pytest.mark.parametrize("with_identities", [False, True], ids=["as-one-user", "as-themselves"])
def test_whatever_a_profile_may_have_is_admitted(control_plane: ControlPlane, *, with_identities: bool) -> None:
    network = {"classes": {"closed": {"internet": "none"}}}
    own: dict[str, object] = {"identity": STATIC, "homes": UID_HOMES} if with_identities else {}
    config = hub_section(profiles=PROFILES, network=network, lxcfs=True, resourcePolicy="strict", **own)
    with hub_bed(control_plane, config) as bed:
        seen: set[str] = set()
        for options in choices(cast("Any", bed.values["singleuser"]["profileList"])):
            pod = admitted(bed, *server_objects(bed.values, options, "ana", ANA if with_identities else None))
            seen |= {container["name"] for container in pod["spec"]["containers"]}
            seen |= set(pod["spec"]["containers"][0]["resources"].get("limits", {}))
            if "token" in {container["name"] for container in pod["spec"]["containers"]}:
                keeper = pod["spec"]["containers"][2]
                assert {each["name"] for each in keeper["env"]} == {"NVIDIA_VISIBLE_DEVICES", *HUB_VARIABLES}
                assert {mount["name"] for mount in keeper["volumeMounts"]} == {"lab-token", "lab-token-program"}
        assert {"notebook", "beside", "token", "nvidia.com/mig-1g.10gb"} <= seen
