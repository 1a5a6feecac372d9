"""The package that runs in the hub: homes by account, profiles by group."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.hub.files.lab_hub.configure import LabSettings, configure
from components.hub.files.lab_hub.homes import HomeSettings, NoAccountError, account_of, claim_name
from components.hub.files.lab_hub.objects import HubConfiguration, Spawner
from components.hub.files.lab_hub.profiles import NoProfileError, visible_profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HOME: HomeSettings = {"issuer": "lab.eu.auth0.com", "userInfo": "auth0_user", "claims": ["sub", "id"]}
PROFILES: list[Mapping[str, object]] = [{"slug": "minimal", "default": True}, {"slug": "gpu"}, {"slug": "course"}]
GROUPS = {"gpu": ["lab", "guests"], "course": ["students"]}


@dataclass
class FakeUser:
    name: str = "ana"
    auth_state: Mapping[str, object] | None = None
    groups: list[SimpleNamespace] = field(default_factory=list[SimpleNamespace])

    async def get_auth_state(self) -> Mapping[str, object] | None:
        return self.auth_state


@dataclass
class FakeSpawner:
    user: FakeUser
    pvc_name: str = "unassigned-ana"
    user_options: Mapping[str, object] = field(default_factory=dict[str, object])


def member(*groups: str, sub: object = "auth0|1") -> FakeSpawner:
    user = FakeUser(auth_state={"auth0_user": {"sub": sub}}, groups=[SimpleNamespace(name=name) for name in groups])
    return FakeSpawner(user)


def configured(settings: LabSettings) -> SimpleNamespace:
    section = SimpleNamespace(profile_list=PROFILES)
    configure(cast("HubConfiguration", SimpleNamespace(KubeSpawner=section)), settings)
    return section


def start(section: SimpleNamespace, spawner: FakeSpawner) -> str:
    """Run the hook as the hub does before a start, and return the claim the server would mount."""
    asyncio.run(section.pre_spawn_hook(cast("Spawner", spawner)))
    return spawner.pvc_name


def test_a_home_is_its_accounts() -> None:
    section = configured({"home": HOME, "groups": {}})
    claim = start(section, member())
    assert claim == claim_name("auth0|1", "lab.eu.auth0.com")
    assert start(section, member(sub="auth0|2")) != claim


def test_a_home_survives_another_user_name() -> None:
    section = configured({"home": HOME, "groups": {}})
    renamed = member()
    renamed.user.name = "ana-novak"
    assert start(section, renamed) == start(section, member())


def test_a_name_given_to_somebody_else_gives_no_home() -> None:
    section = configured({"home": HOME, "groups": {}})
    successor = member(sub="auth0|99")
    assert start(section, successor) != start(section, member())


@pytest.mark.parametrize(
    "auth_state", [None, {}, {"auth0_user": None}, {"auth0_user": {}}, {"auth0_user": {"sub": ""}}, {"sub": "auth0|1"}]
)
def test_without_an_account_nothing_starts(auth_state: Mapping[str, object] | None) -> None:
    section = configured({"home": HOME, "groups": {}})
    spawner = FakeSpawner(FakeUser(auth_state=auth_state))
    with pytest.raises(NoAccountError) as refusal:
        start(section, spawner)
    assert spawner.pvc_name == "unassigned-ana"
    assert "sign in again" in refusal.value.jupyterhub_message


@pytest.mark.parametrize(
    ("answer", "expected"),
    [({"sub": "a", "id": 1}, "a"), ({"id": 12345}, "12345"), ({"sub": True, "id": 7}, "7"), ({"sub": None}, None)],
)
def test_the_first_usable_identifier_counts(answer: Mapping[str, object], expected: str | None) -> None:
    assert account_of({"auth0_user": answer}, HOME) == expected


@given(st.text(), st.text(), st.text(), st.text())
def test_claims_are_names_and_differ_as_accounts_do(one: str, two: str, here: str, there: str) -> None:
    first, second = claim_name(one, here), claim_name(two, there)
    assert first.removeprefix("home-").isalnum()
    assert len(first) == len("home-") + 32
    # The separator cannot stand in an issuer, which is a DNS name.
    if "\0" not in here + there:
        assert (first == second) == ((one, here) == (two, there))


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ((), ["minimal"]),
        (("lab",), ["minimal", "gpu"]),
        (("students", "guests"), ["minimal", "gpu", "course"]),
        (("strangers",), ["minimal"]),
    ],
)
def test_profiles_by_group(groups: Sequence[str], expected: list[str]) -> None:
    assert [profile["slug"] for profile in visible_profiles(PROFILES, GROUPS, set(groups))] == expected
    section = configured({"home": None, "groups": GROUPS})
    offered = cast("Callable[[object], list[Mapping[str, object]]]", section.profile_list)
    assert [profile["slug"] for profile in offered(member(*groups))] == expected


def test_without_groups_everybody_sees_the_charts_list() -> None:
    assert configured({"home": HOME, "groups": {}}).profile_list(member()) == PROFILES


def test_who_may_start_nothing_is_told_so() -> None:
    everything = {"minimal": ["lab"], "gpu": ["lab"], "course": ["lab"]}
    section = configured({"home": None, "groups": everything})
    with pytest.raises(NoProfileError) as refusal:
        start(section, member("strangers"))
    assert "None of your groups" in refusal.value.jupyterhub_message
    assert start(section, member("lab")) == "unassigned-ana"
