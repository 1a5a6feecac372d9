"""Pictures: what is in them, that nothing lies on anything else, and that the same comes out every time."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from drawn_things import KINDS, ROOT, STACK, Thing, a_lab, component, resource
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.graph.record import record
from labctl.lab import open_lab
from labctl.picture import Component, Picture, document, dot, lay_out, picture_of, svg
from labctl.picture.boxes import Box, Place
from labctl.picture.layers import columns_of, ordered, without_cycles
from labctl.picture.layout import Layout
from labctl.picture.text import fitted, text_width, words

STACKS = ("dev", "test", "next", "prod")


def boxes_in(box: Box) -> list[Box]:
    return [box, *(inner for child in box.children for inner in boxes_in(child))]


def require_tidy(layout: Layout) -> None:
    """Fail if anything lies on anything it is not in, or out of what it is in."""
    canvas = Place(x=0, y=0, width=layout.width, height=layout.height)
    for one, other in itertools.combinations(layout.boxes, 2):
        assert not one.place.overlaps(other.place), (one.component.name, other.component.name)
    for top in layout.boxes:
        assert canvas.holds(top.place)
        for box in boxes_in(top):
            inner = [*(row.place for row in box.rows), *(child.place for child in box.children)]
            for place in inner:
                assert box.place.holds(place), box.component.name
            for one_place, other_place in itertools.combinations(inner, 2):
                assert not one_place.overlaps(other_place), box.component.name
    for route in layout.routes:
        require_clear(layout, route.points)
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in route.points)


def require_clear(layout: Layout, points: tuple[tuple[float, float], ...]) -> None:
    """Fail if a way runs through a box: its straight parts within columns, its bends between two columns."""
    for number, ((x0, y0), (x1, y1)) in enumerate(itertools.pairwise(points)):
        left, right, low, high = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        for box in layout.boxes:
            place = box.place
            crosses = place.x < right - 0.1 and left + 0.1 < place.right
            assert not (crosses and place.y < high + 0.1 and low - 0.1 < place.bottom), (number, box.component.name)


def names_in(picture: Picture) -> set[str]:
    def within(components: tuple[Component, ...]) -> set[str]:
        return {one.urn for one in components}.union(*(within(one.children) for one in components))

    return within(picture.components)


@pytest.fixture(scope="module", params=STACKS)
def real(request: pytest.FixtureRequest, root: Path) -> tuple[Picture, list[str]]:
    goals = record(open_lab(request.param, root).program()).goals
    components = [goal.urn for goal in goals if not goal.custom and goal.type != "pulumi:pulumi:Stack"]
    return picture_of(request.param, goals), components


def test_a_real_stack_has_every_component_and_nothing_overlaps(real: tuple[Picture, list[str]]) -> None:
    picture, components = real
    assert names_in(picture) == set(components)
    require_tidy(lay_out(picture))


def test_a_real_stack_is_one_valid_file_without_anything_from_elsewhere(real: tuple[Picture, list[str]]) -> None:
    text = svg(real[0])
    tree = ET.fromstring(text)  # noqa: S314 - our own
    assert tree.tag.endswith("svg")
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in text
    titles = {node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")}
    for one in real[0].components:
        assert words(one.type) in titles
        assert one.name in titles
    assert len(text) < 120_000


def test_every_number_of_resources_is_that_of_the_program(root: Path) -> None:
    goals = record(open_lab("dev", root).program()).goals
    picture = picture_of("dev", goals)
    drawn = [goal for goal in goals if goal.custom and not goal.is_provider]
    assert picture.count == len(drawn)
    assert document(picture)["resources"] == len(drawn)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    components=st.integers(1, 40),
    resources=st.integers(0, 300),
    flowing=st.sampled_from([0.0, 0.02, 0.1, 0.5]),
    planned=st.booleans(),
)
def test_nothing_overlaps_whatever_the_lab(
    seed: int, components: int, resources: int, flowing: float, *, planned: bool
) -> None:
    things, operations = a_lab(seed, components=components, resources=resources, flowing=flowing)
    picture = picture_of("s", things, operations=operations if planned else None)
    require_tidy(lay_out(picture))
    assert names_in(picture) == {one.urn for one in things if not one.custom} - {STACK}
    assert picture.count == resources


def test_a_thousand_resources_are_drawn_at_once_and_the_same_in_any_order() -> None:
    things, operations = a_lab(7, components=24, resources=1000, flowing=0.03)
    one = svg(picture_of("s", things, operations=operations))
    other = svg(picture_of("s", things[::-1], operations=operations))
    assert one == other
    require_tidy(lay_out(picture_of("s", things, operations=operations)))


def test_values_flow_from_the_left_to_the_right() -> None:
    parts = {name: component(name) for name in "abc"}
    a = resource("ra", parts["a"])
    b = resource("rb", parts["b"], of=a)
    c = resource("rc", parts["c"], of=b)
    layout = lay_out(picture_of("s", [ROOT, *parts.values(), a, b, c]))
    at = {box.component.name: box.place for box in layout.boxes}
    assert at["a"].right < at["b"].x
    assert at["b"].right < at["c"].x
    assert [(route.flow.source[-1], route.flow.target[-1]) for route in layout.routes] == [("a", "b"), ("b", "c")]


def test_two_that_need_each_other_are_drawn_all_the_same() -> None:
    one, two = component("one"), component("two")
    a = resource("a", one)
    b = resource("b", two, of=a)
    c = resource("c", one, of=b)
    layout = lay_out(picture_of("s", [ROOT, one, two, a, b, c]))
    assert len(layout.routes) == 2
    require_tidy(layout)


def test_only_data_makes_a_flow_and_not_an_order() -> None:
    one, two = component("one"), component("two")
    a = resource("a", one)
    b = Thing(urn=resource("b", two).urn, type=KINDS[0], parent=two.urn, dependencies=(a.urn,))
    picture = picture_of("s", [ROOT, one, two, a, b])
    assert picture.flows == ()
    assert picture.waits == ((one.urn, two.urn),)


def test_the_clusters_access_flows_through_its_provider_where_nothing_else_leads() -> None:
    boot, storage, hub = component("boot"), component("storage"), component("hub")
    config = resource("kubeconfig", boot, KINDS[4])
    provider = Thing(
        urn="urn:pulumi:s::lab::pulumi:providers:kubernetes::k8s",
        type="pulumi:providers:kubernetes",
        property_dependencies={"kubeconfig": (config.urn,)},
    )
    home = resource("home", storage, provider=f"{provider.urn}::id")
    volume = resource("volume", hub, of=home, provider=f"{provider.urn}::id")
    picture = picture_of("s", [ROOT, boot, storage, hub, config, provider, home, volume])
    flows = {(flow.source.rpartition("::")[2], flow.target.rpartition("::")[2]): flow for flow in picture.flows}
    assert set(flows) == {("boot", "storage"), ("storage", "hub")}, "boot -> hub is implied"
    assert flows["boot", "storage"].by_provider
    assert flows["storage", "hub"].examples == ("spec of ConfigMap volume from ConfigMap home",)
    assert picture.count == 3, "a provider is not something a lab has"


def test_a_plan_is_counted_and_coloured() -> None:
    part = component("part")
    things = [resource(f"r{number}", part) for number in range(4)]
    operations = {things[0].urn: "create", things[1].urn: "update", things[2].urn: "same", things[3].urn: "delete"}
    picture = picture_of("s", [ROOT, part, *things], operations=operations, failed={things[1].urn})
    assert picture.components[0].signs == {"create": 1, "delete": 1, "failed": 1}
    drawn = svg(picture)
    assert re.findall(r'class="(create|failed|delete)"[^>]*>([^<]+)<', drawn)[:3] == [
        ("failed", "✗1"),
        ("delete", "-1"),
        ("create", "+1"),
    ]
    assert "nothing changes" not in drawn
    assert "nothing changes" in svg(picture_of("s", [ROOT, part, *things], operations={}))


def test_the_stacks_own_resources_have_a_box() -> None:
    own = Thing(urn=f"urn:pulumi:s::lab::{KINDS[0]}::own", type=KINDS[0])
    picture = picture_of("s", [ROOT, own])
    assert [one.type for one in picture.components] == ["Stack"]
    require_tidy(lay_out(picture))


def test_an_empty_stack_is_a_picture_too() -> None:
    require_tidy(lay_out(picture_of("s", [ROOT])))
    ET.fromstring(svg(picture_of("s", [])))  # noqa: S314 - our own


def test_what_a_name_holds_is_text() -> None:
    part = component('<b>&"quoted"</b>')
    drawn = svg(picture_of("<s> & co", [ROOT, part]))
    tree = ET.fromstring(drawn)  # noqa: S314 - our own
    assert "<s> & co" in {node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")}
    assert '\\"quoted\\"' in dot(picture_of("s", [ROOT, part]))


def test_dot_and_json_have_the_same_components_and_flows() -> None:
    things, _ = a_lab(3, components=6, resources=60, flowing=0.2)
    picture = picture_of("s", things)
    text, shape = dot(picture), json.loads(json.dumps(document(picture)))
    assert text.count(" -> ") == len(picture.flows) == len(shape["flows"])
    for urn in names_in(picture):
        assert f'"{urn}"' in text
    assert text.count("{") == text.count("}")


def test_cycles_are_broken_and_nothing_else() -> None:
    assert without_cycles("abc", {("a", "b"), ("b", "c"), ("a", "c")}) == {("a", "b"), ("b", "c"), ("a", "c")}
    assert without_cycles("abc", {("a", "b"), ("b", "c"), ("c", "a")}) == {("a", "b"), ("b", "c")}


@given(st.sets(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")).filter(lambda p: p[0] != p[1])))
def test_columns_are_in_the_order_of_what_flows(pairs: set[tuple[str, str]]) -> None:
    acyclic = without_cycles("abcdefgh", pairs)
    columns = columns_of("abcdefgh", acyclic, dict.fromkeys("abcdefgh", 100.0), 250.0)
    level = {node: number for number, column in enumerate(columns) for node in column}
    assert sorted(level) == list("abcdefgh")
    assert all(level[source] < level[target] for source, target in acyclic)
    assert all(len(column) <= 2 for column in columns)
    slots = ordered(columns, acyclic)
    assert [sorted(slot for slot in column if isinstance(slot, str)) for column in slots] == [
        sorted(column) for column in columns
    ]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("GpuOperator", "GPU operator"),
        ("Hub", "Hub"),
        ("HubAccess", "Hub access"),
        ("StandIns", "Stand ins"),
        ("NFSServer", "NFS server"),
        ("lower", "Lower"),
    ],
)
def test_a_type_is_a_title(name: str, title: str) -> None:
    assert words(name) == title


@given(st.text("abcWMil. XYZ0", max_size=60), st.floats(20, 300))
def test_text_is_cut_to_fit(text: str, width: float) -> None:
    cut = fitted(text, 12, width)
    assert text_width(cut, 12) <= width
    assert cut == text or cut.endswith("…")


def test_a_picture_without_flows_is_about_as_wide_as_high() -> None:
    parts = [component(f"part-{number}") for number in range(100)]
    layout = lay_out(picture_of("s", [ROOT, *parts, *(resource(f"r-{one.urn[-2:]}", one) for one in parts)]))
    assert 0.5 < layout.width / layout.height < 4
    require_tidy(layout)
    assert replace(layout, boxes=()).routes == ()


def test_the_picture_in_the_documentation_is_that_of_dev(root: Path, pytestconfig: pytest.Config) -> None:
    file = root / "docs" / "images" / "dev.svg"
    drawn = svg(picture_of("dev", record(open_lab("dev", root).program()).goals))
    if pytestconfig.getoption("update_golden"):
        file.write_text(drawn, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == drawn, "draw it anew: --update-golden"
