"""Which pins move, which stay, and what is said of those."""

from __future__ import annotations

import pytest
from pin_texts import PinsText

from labctl.exit_codes import ExitCode
from labctl.promotion.errors import NoSuchPinError, NoWayError, UnsoundSourceError
from labctl.promotion.plan import PromotionPlan, Wishes, plan_promotion, require_sound
from labctl.promotion.ways import Way, way_between
from stacks.environments import Change, EnvironmentName

MINOR, MAJOR = way_between("test", "prod"), way_between("test", "prod", major=True)
CALICO = ("tigera-operator", "crd.projectcalico.org.v1")


def moved(plan: PromotionPlan) -> dict[str, str]:
    """Return what moves, with its versions."""
    return {move.name: move.versions for move in plan.moves}


def kept(plan: PromotionPlan) -> dict[str, str]:
    """Return what stays, with its reason and remedy."""
    return {item.name: f"{item.reason}; {item.remedy}" for item in plan.kept}


def test_the_ways_are_those_of_the_environments() -> None:
    assert (MINOR.change, MAJOR.change) == (Change.MINOR, Change.MAJOR)
    assert way_between("next", "test").change is Change.MAJOR
    assert way_between("next", "test").target is EnvironmentName.TEST


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("next", "prod", "would skip test"),
        ("prod", "test", "do not go back"),
        ("dev", "next", "from or to dev"),
        ("test", "dev", "from or to dev"),
        ("prod", "prod", "one environment"),
        ("staging", "prod", "staging is no environment"),
    ],
)
def test_other_ways_are_refused_with_those_there_are(source: str, target: str, why: str) -> None:
    with pytest.raises(NoWayError, match=why) as caught:
        way_between(source, target)
    assert caught.value.exit_code is ExitCode.REFUSED
    assert "`labctl promote next test` (major)" in str(caught.value)
    assert "`labctl promote test prod --major` (major)" in str(caught.value)


def test_kubernetes_moves_whole(pins_text: PinsText) -> None:
    plan = plan_promotion(pins_text.pins("v1.36.3"), pins_text.pins("v1.36.1"), MINOR)
    assert moved(plan) == {"Kubernetes": "v1.36.1 -> v1.36.3"}
    assert [change.path for change in plan.moves[0].changes] == [
        "kubernetes",
        "hostFiles/kubelet",
        "hostFiles/kubeadm",
        "hostFiles/kubectl",
        "kubernetesImages/kube-apiserver",
    ]


def test_one_member_asked_for_brings_its_set_along(pins_text: PinsText) -> None:
    newer: dict[str, str] = dict.fromkeys(CALICO, "v3.33.0")
    source, target = pins_text.pins("v1.36.3", newer), pins_text.pins()
    plan = plan_promotion(source, target, MINOR, Wishes(only=("charts/tigera-operator",)))
    assert moved(plan) == {"Calico": "v3.32.1 -> v3.33.0"}
    assert [change.path for change in plan.moves[0].changes] == [f"charts/{name}" for name in CALICO]
    assert kept(plan) == {"Kubernetes": "not asked for; leave out --only"}


def test_no_pattern_is_ignored(pins_text: PinsText) -> None:
    with pytest.raises(NoSuchPinError, match="charts/jupiter"):
        plan_promotion(pins_text.pins(), pins_text.pins(), MINOR, Wishes(only=("charts/jupiter",)))


@pytest.mark.parametrize("way", [MINOR, MAJOR])
def test_kubernetes_never_leaves_out_a_minor_version(pins_text: PinsText, way: Way) -> None:
    plan = plan_promotion(pins_text.pins("v1.38.0"), pins_text.pins("v1.36.1"), way)
    assert moved(plan) == {}
    assert "a minor version lies between" in kept(plan)["Kubernetes"]
    assert "stacks/pins/prod.yaml first" in kept(plan)["Kubernetes"]


def test_kubernetes_never_goes_down(pins_text: PinsText) -> None:
    wishes = Wishes(allows_downgrade=True)
    plan = plan_promotion(pins_text.pins("v1.36.0"), pins_text.pins("v1.36.1"), MAJOR, wishes)
    assert moved(plan) == {}
    assert "never down" in kept(plan)["Kubernetes"]


def test_a_chart_goes_down_only_where_asked(pins_text: PinsText) -> None:
    source, target = pins_text.pins(charts={"jupyterhub": "4.3.0"}), pins_text.pins()
    plan = plan_promotion(source, target, MINOR)
    assert "prod is ahead of test" in kept(plan)["charts/jupyterhub"]
    assert "--allow-downgrade" in kept(plan)["charts/jupyterhub"]
    assert moved(plan_promotion(source, target, MINOR, Wishes(allows_downgrade=True))) == {
        "charts/jupyterhub": "4.4.0 -> 4.3.0"
    }


def test_a_major_version_takes_the_way_of_major_versions(pins_text: PinsText) -> None:
    source, target = pins_text.pins(charts={"jupyterhub": "5.0.0"}), pins_text.pins()
    plan = plan_promotion(source, target, MINOR)
    assert moved(plan) == {}
    assert "labctl promote test prod --major --only charts/jupyterhub" in kept(plan)["charts/jupyterhub"]
    assert moved(plan_promotion(source, target, MAJOR)) == {"charts/jupyterhub": "4.4.0 -> 5.0.0"}


def test_a_set_takes_the_greatest_of_its_steps(pins_text: PinsText) -> None:
    source = pins_text.pins(charts={"tigera-operator": "v3.32.2", "crd.projectcalico.org.v1": "v4.0.0"})
    plan = plan_promotion(source, pins_text.pins(), MINOR)
    assert moved(plan) == {}
    assert list(kept(plan)) == ["Calico"]


def test_a_new_pin_comes_and_another_environments_own_stays(pins_text: PinsText) -> None:
    source, target = pins_text.pins(charts={"kueue": "0.18.1"}), pins_text.pins(charts={"harbor": "1.19.0"})
    plan = plan_promotion(source, target, MINOR)
    assert moved(plan) == {"charts/kueue": "new: 0.18.1"}
    assert plan.only_target == ("charts/harbor",)


def test_an_image_of_the_same_day_with_another_digest_moves(pins_text: PinsText) -> None:
    source = pins_text.pins()
    old = source["images/notebook"]
    image = str(old.image).replace("a" * 64, "c" * 64)
    other = type(old)(path=old.path, version=old.version, data={"image": image, "source": "example/images"})
    plan = plan_promotion(source | {old.path: other}, source, MINOR)
    assert moved(plan) == {"images/notebook": "2026-02-23 (same version)"}


def test_a_source_that_does_not_fit_itself_is_refused(pins_text: PinsText) -> None:
    sound = pins_text.pins("v1.36.3")
    require_sound("test", sound)
    old = sound["hostFiles/kubelet"]
    broken = sound | {old.path: type(old)(path=old.path, version="v1.36.1", data=old.data)}
    with pytest.raises(UnsoundSourceError, match=r"hostFiles/kubelet v1\.36\.1") as caught:
        require_sound("test", broken)
    assert caught.value.exit_code is ExitCode.INVALID
