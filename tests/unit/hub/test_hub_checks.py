"""Everything wrong with a hub section, with its place and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hub_labs import IMAGES, SLICES, hub, profile

from components.hub.plan import check
from components.hub.profiles.checks import ProfileFacts

if TYPE_CHECKING:
    from components.hub.config import HubConfig

GUARANTEE = {"cpu": "1", "memory": "1Gi"}


def problems(config: HubConfig, *, hostname: str | None = "hub.lab.org", simulated: bool = False) -> list[str]:
    found = check(config, ProfileFacts(slices=SLICES, images=IMAGES), hostname=hostname, is_simulated=simulated)
    return [str(problem) for problem in found]


def test_the_small_lab_is_sound() -> None:
    assert problems(hub()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"profiles": [profile(gpu={"slice": "1g.10gbb"})]},
            "profiles[0].gpu.slice: no node has a slice 1g.10gbb; did you mean 1g.10gb?",
        ),
        (
            {"profiles": [profile(gpu={"slice": "nothing-like-it"})]},
            (
                "profiles[0].gpu.slice: no node has a slice nothing-like-it; choose one of 1g.10gb, "
                "whole.shared, or cut one "
                "in the gpu section"
            ),
        ),
        (
            {"profiles": [profile(gpu={"slice": "1g.10gb", "count": 5})]},
            "profiles[0].gpu.count: a server runs on one node, and none has 5 of 1g.10gb; ask for at most 4",
        ),
        (
            {"profiles": [profile(gpu={"slice": "whole.shared", "count": 2})]},
            "profiles[0].gpu.count: several shares of a GPU give no more of it than one; ask for 1",
        ),
        (
            {"profiles": [profile(gpu={"slice": "1g.10gb", "model": "H100-80GB-SXM"})]},
            "profiles[0].gpu.model: no H100-80GB-SXM offers 1g.10gb; choose one of A100-80GB-PCIe",
        ),
        (
            {"profiles": [profile(image="minimal")]},
            "profiles[0].image: no image minimal is pinned; did you mean minimal-notebook?",
        ),
        ({"profiles": [profile(default=False)]}, "profiles: none is the default; set default: true on exactly one"),
        (
            {"profiles": [profile(), profile(slug="two")]},
            "profiles: 2 profiles are the default: one, two; set default: true on exactly one",
        ),
        (
            {"profiles": [profile(groups=["lab"])]},
            "profiles[0].groups: the default profile is for some groups only; make a profile for everybody the default",
        ),
        (
            {"profiles": [profile(resources={"guarantee": GUARANTEE, "limit": {"memory": "2Gi"}})]},
            (
                "profiles[0].resources.limit.memory: a limit contradicts the lax policy, under "
                "which everybody may use the "
                "whole node; drop it, or set resourcePolicy: strict"
            ),
        ),
        (
            {
                "resourcePolicy": "strict",
                "profiles": [profile(resources={"guarantee": GUARANTEE, "limit": {"memory": "2Gi"}})],
            },
            "profiles[0].resources.limit.cpu: the strict policy needs a limit; give one, or set resourcePolicy: lax",
        ),
        (
            {"authentication": {"kind": "dummy"}, "homes": {"key": "username", "capacity": "1Gi"}},
            (
                "authentication.kind: anybody may sign in as anybody on a cluster that is real; "
                "choose github, google, auth0, oidc, ldap or native"
            ),
        ),
    ],
)
def test_one_problem(changes: dict[str, object], expected: str) -> None:
    assert problems(hub(**changes)) == [expected]


def test_two_profiles_of_one_slug_are_both_named() -> None:
    found = problems(hub(profiles=[profile(), profile(default=False)]))
    assert found == [
        f"profiles[{index}].slug: 2 profiles have the slug one; give each profile a slug of its own"
        for index in range(2)
    ]


def test_the_dummy_is_for_simulated_clusters_and_has_no_accounts() -> None:
    dummy = {"kind": "dummy"}
    assert problems(hub(authentication=dummy), simulated=True) == [
        "homes.key: homes belong to accounts, but the dummy sign-in has none; set key: username"
    ]
    assert problems(hub(authentication=dummy, homes={"key": "username", "capacity": "1Gi"}), simulated=True) == []


def test_a_provider_needs_an_address_to_come_back_to() -> None:
    assert problems(hub(), hostname=None) == [
        "authentication: the identity provider has no address to send people back to; give network.hostnames.hub"
    ]


def test_a_lab_without_gpus() -> None:
    config = hub(profiles=[profile(gpu={"slice": "1g.10gb"})])
    (found,) = check(config, ProfileFacts(images=IMAGES), hostname="hub.lab.org", is_simulated=False)
    assert str(found) == "profiles[0].gpu.slice: no node has a slice 1g.10gb; cut one in the gpu section"


def test_strict_with_limits_is_sound() -> None:
    resources = {"guarantee": GUARANTEE, "limit": {"cpu": "2", "memory": "2Gi"}}
    assert problems(hub(resourcePolicy="strict", profiles=[profile(resources=resources)])) == []
