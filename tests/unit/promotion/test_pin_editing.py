"""A file of pins with some of them moved, every other character as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pin_texts import PinsText

from labctl.promotion.editing import Edited, with_moved_pins
from labctl.promotion.errors import PinLayoutError
from labctl.promotion.pins import Pin, pins_in
from labctl.promotion.plan import Wishes, plan_promotion
from labctl.promotion.ways import way_between
from stacks.promotion import ALLOWED, Step, together_with, versioning_of

MINOR, MAJOR = way_between("test", "prod"), way_between("test", "prod", major=True)


def promoted(source: str, target: str, *, major: bool = False, only: tuple[str, ...] = ()) -> Edited:
    """Return the text `target` after a promotion."""
    plan = plan_promotion(_pins(source), _pins(target), MAJOR if major else MINOR, Wishes(only=only))
    return with_moved_pins(target, source, plan.moves, file="prod.yaml")


def _pins(text: str) -> dict[str, Pin]:
    return pins_in(text, file="pins.yaml")


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """Return the lines that differ, stripped, of two texts with as many lines."""
    pairs = zip(before.splitlines(keepends=True), after.splitlines(keepends=True), strict=True)
    return [(one.strip(), other.strip()) for one, other in pairs if one != other]


def test_quotes_comments_order_and_blanks_stay(pins_text: PinsText) -> None:
    target = (
        pins_text()
        .replace("version: 4.4.0", "version:   '4.4.0'   # tried by Ada")
        .replace("charts:\n", "\n\n# Ours.\ncharts:\n\n")
        .replace("  notebook:\n", "  # For everybody.\n  notebook:\n")
    )
    edited = promoted(pins_text(charts={"jupyterhub": "4.5.1"}), target)
    assert changed_lines(target, edited.text) == [
        ("version:   '4.4.0'   # tried by Ada", "version:   '4.5.1'   # tried by Ada")
    ]


def test_line_ends_stay(pins_text: PinsText) -> None:
    target = pins_text().replace("\n", "\r\n")
    edited = promoted(pins_text(charts={"jupyterhub": "4.5.1", "kueue": "0.18.1"}), target)
    assert "\n" not in edited.text.replace("\r\n", "")
    assert _pins(edited.text)["charts/kueue"].version == "0.18.1"


def test_a_comment_says_what_the_pins_below_it_are(pins_text: PinsText) -> None:
    edited = promoted(pins_text("v1.36.3"), pins_text("v1.36.1"))
    assert "# What kubeadm 1.36.3 runs.\nkubernetesImages:\n" in edited.text
    assert "1.36.1" not in edited.text
    assert edited.stale_comments == ()


def test_a_comment_with_a_reason_of_its_own_stays_and_is_named(pins_text: PinsText) -> None:
    target = pins_text().replace(
        "# What kubeadm 1.36.1 runs.", "# 1.36.1: later ones lose our webhooks, see the log of May."
    )
    edited = promoted(pins_text("v1.36.3"), target)
    assert "# 1.36.1: later ones" in edited.text
    assert len(edited.stale_comments) == 1
    assert "the comment still says 1.36.1" in edited.stale_comments[0]
    line = int(edited.stale_comments[0].partition("line ")[2].partition(":")[0])
    assert edited.text.splitlines()[line - 1].startswith("# 1.36.1: later ones")


def test_a_comment_that_belongs_to_another_pin_stays(pins_text: PinsText) -> None:
    charts = {"kueue": "4.4.0"}
    note = (
        "    version: 4.4.0\n    repository: https://charts.example.org\nimages",
        "    version: 4.4.0  # 4.4.0 for now\n    repository: https://charts.example.org\nimages",
    )
    target = pins_text(charts=charts).replace(*note)
    source = pins_text(charts=charts | {"jupyterhub": "4.5.0"}).replace(*note)
    assert target != pins_text(charts=charts)
    edited = promoted(source + "# 4.5.0 for now\n", target)
    assert "# 4.4.0 for now" in edited.text
    assert edited.stale_comments == ()


def test_a_new_pin_comes_with_its_comment_at_the_end_of_its_section(pins_text: PinsText) -> None:
    source = pins_text(charts={"kueue": "0.18.1"}).replace("  kueue:\n", "  # Batch queues.\n  kueue:\n")
    edited = promoted(source, pins_text())
    added = "  # Batch queues.\n  kueue:\n    chart: kueue\n    version: 0.18.1\n    repository: https://charts.example.org\n"
    assert edited.text == pins_text().replace("images:\n", added + "images:\n")


def test_a_new_pin_at_the_end_of_a_file_without_a_last_line_end(pins_text: PinsText) -> None:
    source = (
        pins_text()
        + "  scratch:\n    image: registry.example.org/scratch:1.0.0@sha256:"
        + "c" * 64
        + "\n    source: x\n"
    )
    edited = promoted(source, pins_text().rstrip("\n"))
    assert edited.text == source


def test_a_section_that_is_not_there_yet(pins_text: PinsText) -> None:
    target = pins_text().partition("images:\n")[0]
    edited = promoted(pins_text(), target)
    assert edited.text == pins_text()


def test_another_indentation_is_kept(pins_text: PinsText) -> None:
    head, charts, rest = pins_text().partition("charts:\n")
    entries, images, tail = rest.partition("images:\n")
    deeper = "".join("  " + line for line in entries.splitlines(keepends=True))
    target = head + charts + deeper + images + tail
    edited = promoted(pins_text(charts={"kueue": "0.18.1"}), target)
    assert "    kueue:\n      chart: kueue\n      version: 0.18.1\n" in edited.text


def test_fields_come_and_go_with_their_entry(pins_text: PinsText) -> None:
    source = pins_text(charts={"jupyterhub": "4.5.0"}).replace(
        "version: 4.5.0\n", "version: 4.5.0\n    appVersion: 5.6.0\n"
    )
    target = pins_text().replace("version: 4.4.0\n", f"version: 4.4.0\n    digest: sha256:{'d' * 64}\n")
    edited = promoted(source, target)
    assert _pins(edited.text)["charts/jupyterhub"].data == _pins(source)["charts/jupyterhub"].data
    assert "digest" not in edited.text


def test_an_image_that_the_new_version_has_not_goes_with_it(pins_text: PinsText) -> None:
    target = pins_text("v1.36.1").replace(
        "kubernetesImages:\n", "kubernetesImages:\n  old: registry.example.org/old:v1.36.1\n"
    )
    assert promoted(pins_text("v1.36.3"), target).text == pins_text("v1.36.3")


def test_a_section_in_braces_is_refused_where_something_is_added(pins_text: PinsText) -> None:
    target = pins_text().partition("images:\n")[0] + "images: {}\n"
    with pytest.raises(PinLayoutError, match="images: is written in braces"):
        promoted(pins_text(), target)


def test_an_entry_in_braces_is_edited_where_it_is(pins_text: PinsText) -> None:
    repository = "https://charts.example.org"
    plain = f"  jupyterhub:\n    chart: jupyterhub\n    version: 4.4.0\n    repository: {repository}\n"
    braces = f"  jupyterhub: {{chart: jupyterhub, version: 4.4.0, repository: {repository}}}  # ours\n"
    target = pins_text().replace(plain, braces)
    assert target != pins_text()
    edited = promoted(pins_text(charts={"jupyterhub": "4.5.0"}), target)
    assert _pins(edited.text)["charts/jupyterhub"].version == "4.5.0"
    assert "# ours" in edited.text


VERSIONS = st.sampled_from(["4.3.9", "4.4.0", "4.4.1", "4.5.0", "5.0.0", "4.5.0-beta.1", "0.16.1", "0.17.0"])
KUBERNETES = st.sampled_from(["v1.35.9", "v1.36.1", "v1.36.3", "v1.37.0", "v1.38.2", "v2.0.0"])
DAYS = st.sampled_from(["2026-02-23", "2026-03-23", "cuda12-2026-03-23", "noble", "1.0.0"])
CHARTS = st.dictionaries(
    st.sampled_from(["jupyterhub", "kueue", "tigera-operator", "gpu-operator", "harbor"]), VERSIONS
)
NOISE = st.sampled_from(["", "# A note: 4.4.0, 1.36.1.\n", "\n", "\n# Two\n# lines\n\n"])


def _file(kubernetes: str, charts: dict[str, str], day: str, noise: str) -> str:
    calico = charts.get("tigera-operator", "v3.32.1")
    text = PinsText()(kubernetes, charts | {"crd.projectcalico.org.v1": calico}, day)
    return text.replace("charts:\n", f"{noise}charts:\n")


FILES = st.builds(_file, KUBERNETES, CHARTS, DAYS, NOISE)


@settings(max_examples=40, deadline=None)
@given(FILES, FILES, st.booleans())
def test_a_promotion_moves_what_the_policy_lets_move_and_nothing_else(source: str, target: str, major: bool) -> None:  # noqa: FBT001 - hypothesis draws it
    way = MAJOR if major else MINOR
    before = _pins(target)
    plan = plan_promotion(_pins(source), before, way)
    edited = with_moved_pins(target, source, plan.moves, file="prod.yaml")
    after = _pins(edited.text)
    moving = {change.path for move in plan.moves for change in move.changes}
    assert {path: pin for path, pin in after.items() if path not in moving} == {
        path: pin for path, pin in before.items() if path not in moving
    }
    for move in plan.moves:
        assert move.step in ALLOWED[way.change]
    if before["kubernetes"].version != after["kubernetes"].version:
        minors = [int(pins["kubernetes"].version.split(".")[1]) for pins in (before, after)]
        same_major = before["kubernetes"].version[:2] == after["kubernetes"].version[:2]
        assert not same_major or minors[1] - minors[0] in (0, 1)
    for name in {together.name for path in moving if (together := together_with(path))}:
        members = {path for path in after if (found := together_with(path)) and found.name == name}
        assert {path: after[path].data for path in members} == {
            path: pin.data for path, pin in _pins(source).items() if path in members
        }
    assert _untouched(target, edited.text, moving)
    again = plan_promotion(_pins(source), after, way)
    assert again.moves == ()
    assert with_moved_pins(edited.text, source, (), file="prod.yaml").text == edited.text


def _untouched(before: str, after: str, moving: set[str]) -> bool:
    """Tell whether every line that names or holds no moving pin is there still, in its order."""
    names = {path.rpartition("/")[2] for path in moving}
    kept = [
        line for line in before.splitlines() if line.startswith("#") or not line.startswith("  ") or line.strip() == ""
    ]
    kept = [line for line in kept if not line.startswith("# What kubeadm") and line.partition(":")[0] not in names]
    lines = iter(after.splitlines())
    return all(line in lines for line in kept)


def test_the_policy_knows_every_step() -> None:
    never = set(Step) - ALLOWED[MAJOR.change]
    assert never == {Step.SKIP, Step.DOWN}
    assert ALLOWED[MINOR.change] < ALLOWED[MAJOR.change]
    assert not versioning_of("kubernetes").can_go_down
