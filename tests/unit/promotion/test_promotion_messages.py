"""What a promotion says of itself: the message of its commit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pin_texts import PinsText

from labctl.graph.values import Plain
from labctl.promotion.effects import StackEffect, stack_effect
from labctl.promotion.json_shape import promotion_json
from labctl.promotion.message import commit_message, subject
from labctl.promotion.plan import PromotionPlan, Wishes, plan_promotion
from labctl.promotion.ways import way_between
from labctl.revisions import StackChange

GOLDEN = Path(__file__).parent / "data"
URN = "urn:pulumi:prod::research-compute::"
REMOTE, RELEASE = "lab:index:NodeBootstrap$command:remote:Command", "lab:index:Hub$kubernetes:helm.sh/v3:Release"


def step(
    op: str, kind: str, name: str, old: dict[str, Plain] | None = None, new: dict[str, Plain] | None = None
) -> Plain:
    """Return a step as a preview has it."""
    shape: dict[str, Plain] = {"op": op, "urn": f"{URN}{kind}::{name}", "detailedDiff": None}
    for key, inputs in (("oldState", old), ("newState", new)):
        if inputs is not None:
            shape[key] = {"inputs": inputs}
    return shape


def plan_of(text: PinsText, *, major: bool) -> PromotionPlan:
    """Return a promotion of a bit of everything."""
    source = text.pins("v1.36.3", {"jupyterhub": "5.0.0", "metallb": "0.15.0", "kueue": "0.18.1"}, "2026-03-23")
    target = text.pins("v1.36.1", {"metallb": "0.16.1", "harbor": "1.19.0"}, "2026-02-23")
    return plan_promotion(source, target, way_between("test", "prod", major=major), Wishes())


def effect_of(plan: PromotionPlan) -> StackEffect:
    """Return what it changes in a stack with four hosts."""
    image = f"registry.example.org/notebook:2026-03-23@sha256:{'a' * 64}"
    steps = [
        step("same", "pulumi:pulumi:Stack", "research-compute-prod"),
        *(step("update", REMOTE, f"bootstrap-{host}-kubernetes", {}, {}) for host in ("cp-1", "worker-1", "worker-2")),
        step("update", REMOTE, "bootstrap-cp-1-control-plane", {}, {}),
        step("update", REMOTE, "bootstrap-kubeconfig-0", {}, {}),
        step(
            "update",
            RELEASE,
            "hub-jupyterhub",
            {"chart": "jupyterhub", "version": "4.4.0"},
            {"chart": "jupyterhub", "version": "5.0.0"},
        ),
        step(
            "update",
            RELEASE,
            "other",
            {"chart": "oci://r.example.org/other", "version": "1.0.0"},
            {"chart": "oci://r.example.org/other", "version": "1.0.0", "values": {"image": image}},
        ),
        step("replace", "kubernetes:batch/v1:Job", "hub-migrate", {}, {}),
        step("delete", "kubernetes:core/v1:ConfigMap", "old-settings", {}),
        step("create", "kubernetes:core/v1:ConfigMap", "new-settings", None, {}),
    ]
    change = StackChange(stack="prod", preview={"steps": steps})
    return stack_effect(change, ("cp-1", "worker-1", "worker-2", "worker-20"), plan.moves)


@pytest.mark.parametrize("major", [False, True], ids=["minor", "major"])
def test_golden_message(pins_text: PinsText, major: bool, request: pytest.FixtureRequest) -> None:  # noqa: FBT001 - parametrised
    plan = plan_of(pins_text, major=major)
    unused = StackEffect(stack="prod-open")
    message = commit_message(plan, [effect_of(plan), unused], ["a comment still says 1.36.1"])
    path = GOLDEN / f"message-{'major' if major else 'minor'}.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(message, encoding="utf-8")
    assert message == path.read_text(encoding="utf-8")


def test_hosts_are_not_taken_for_one_another(pins_text: PinsText) -> None:
    effect = effect_of(plan_of(pins_text, major=True))
    assert dict(effect.hosts) == {
        "cp-1": ("kubernetes", "control-plane"),
        "worker-1": ("kubernetes",),
        "worker-2": ("kubernetes",),
    }
    assert effect.images == ("images/notebook",)


def test_the_first_line_fits_a_log(pins_text: PinsText) -> None:
    charts = {f"component-with-a-long-name-{number}": "1.0.0" for number in range(6)}
    newer = dict.fromkeys(charts, "1.1.0")
    for count in range(1, 7):
        names = list(charts)[:count]
        plan = plan_promotion(
            pins_text.pins(charts={name: newer[name] for name in names}),
            pins_text.pins(charts={name: charts[name] for name in names}),
            way_between("test", "prod"),
        )
        assert len(subject(plan)) <= 72
        assert subject(plan).startswith("Promote test to prod: ")


def test_a_broken_stack_is_said_to_be_broken(pins_text: PinsText) -> None:
    plan = plan_of(pins_text, major=False)
    message = commit_message(plan, [StackEffect(stack="prod", error="profiles[0].image: no such pin")])
    assert "it could not be built: profiles[0].image: no such pin" in message


def test_json_says_as_much_as_the_message(pins_text: PinsText) -> None:
    plan = plan_of(pins_text, major=False)
    shape = promotion_json(plan, [effect_of(plan)], message="words", written=True, commit=None)
    assert json.loads(json.dumps(shape)) == shape
    assert set(shape) == {
        "from", "to", "change", "moves", "kept", "onlyTarget", "stacks", "message", "written", "commit",
    }  # fmt: skip
    assert shape["onlyTarget"] == ["charts/harbor"]
