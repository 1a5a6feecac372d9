"""What our pages and the start of servers add to the hub's release."""

from __future__ import annotations

import dataclasses
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pulumi
from hub_labs import FACTS, SLICES, hub

from components.hub.files.lab_hub import spawning
from components.hub.pages.component import HubAccess, HubAccessArgs
from components.hub.pages.plan import TEMPLATES, gpu_names, pages_part
from components.hub.values import CONFIGURATION_FOLDER
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def test_every_page_is_mounted_where_the_hub_looks_first() -> None:
    part = pages_part(hub(), FACTS)
    named = {file.target for file in part.files}
    folder = files("components.hub.files").joinpath("templates")
    assert named == {f"{TEMPLATES}/{found.name}" for found in folder.iterdir() if found.name.endswith(".html")}
    assert f"{TEMPLATES}/spawn_pending.html" in named
    assert str(spawning.TEMPLATES).removesuffix("templates") == str(Path(spawning.__file__).parents[1]) + "/"
    assert TEMPLATES.rpartition("/")[0] == CONFIGURATION_FOLDER


def test_nobody_is_sent_away_and_no_hub_ends_itself() -> None:
    part = pages_part(hub(), FACTS)
    assert part.hub["concurrentSpawnLimit"] == 0
    assert part.hub["consecutiveFailureLimit"] == 0
    told = cast("Mapping[str, object]", part.settings["spawning"])
    assert told["atOnce"] == hub().servers.concurrent_spawns


def test_the_contact_is_known_to_pages_and_messages() -> None:
    part = pages_part(hub(), dataclasses.replace(FACTS, contact="it@lab.org"))
    assert cast("Mapping[str, object]", part.settings["spawning"])["contact"] == "it@lab.org"
    assert cast("Mapping[str, object]", part.hub["templateVars"])["lab_contact"] == "it@lab.org"


def test_an_announcement_is_text_and_no_markup() -> None:
    part = pages_part(hub(announcement="<b>Down</b> on Monday"), FACTS)
    variables = cast("Mapping[str, object]", part.hub["templateVars"])
    assert variables["announcement"] == "&lt;b&gt;Down&lt;/b&gt; on Monday"


def test_gpu_resources_have_the_names_people_know() -> None:
    names = gpu_names(SLICES)
    assert set(names) <= {offered.resource for offered in SLICES}
    assert gpu_names(()) == {}


def test_no_page_names_anything_elsewhere() -> None:
    for file in pages_part(hub(), FACTS).files:
        text = files("components.hub.files").joinpath(file.source).read_text(encoding="utf-8")
        assert not re.search(r"(?:https?:)?//[a-z0-9]", text), file.source


def test_the_hub_may_see_nodes_and_nothing_else() -> None:
    def entry() -> None:
        HubAccess("hub-access", HubAccessArgs(stack="test", namespace=pulumi.Output.from_input("hub-test")))

    graph = record(Program(project="p", stack="test", entry=entry))
    found = {goal.name: goal for goal in graph.goals}
    rules = cast("Sequence[Mapping[str, object]]", found["hub-access-nodes"].inputs["rules"])
    assert rules == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}]
    binding = found["hub-access-nodes-binding"].inputs
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "hub", "namespace": "hub-test"}]
    assert cast("Mapping[str, object]", binding["metadata"])["name"] == "hub-nodes-test"
