"""A home per user id: named after it, and never somebody else's because the id was given out again."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from components.hub.files.lab_hub.home_requests import owner_of
from components.hub.files.lab_hub.homes import claim_name
from components.hub.files.lab_hub.uid_homes import (
    ACCOUNT_ANNOTATION,
    OWNER_ANNOTATION,
    ClaimAwayError,
    OthersHomeError,
    name_claim_by_uid,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.files.lab_hub.home_requests import HomesSettings
    from components.hub.files.lab_hub.objects import Spawner

LOG = cast("Any", logging.getLogger("hub"))


class User:
    """The user a server is for."""

    def __init__(self, name: str, account: str | None) -> None:
        self.name, self.account = name, account

    async def get_auth_state(self) -> Mapping[str, object] | None:
        return None if self.account is None else {"auth0_user": {"sub": self.account}}


class Claims:
    """Claims of homes, by name, and the API server that has them."""

    def __init__(self, **annotations: Mapping[str, str]) -> None:
        self.annotations, self.problem = annotations, None
        self.problem: Exception | None = None

    async def read_namespaced_persistent_volume_claim(self, name: str, namespace: str, **_: object) -> object:
        exceptions = pytest.importorskip("kubernetes_asyncio.client.exceptions")
        if self.problem is not None:
            raise self.problem
        if name not in self.annotations:
            raise exceptions.ApiException(status=404)
        return SimpleNamespace(metadata=SimpleNamespace(annotations=self.annotations[name]))


ACCOUNT = {"issuer": "lab.eu.auth0.com", "userInfo": "auth0_user", "claims": ["sub"]}


def housed(claims: Claims, name: str = "ada", account: str | None = None) -> Any:  # noqa: ANN401 - a stand-in of a spawner
    spawner = SimpleNamespace(
        user=User(name, account),
        uid=5001,
        api=claims,
        namespace="hub-test",
        pvc_name="unassigned-ada",
        storage_extra_annotations={"mine": "1"},
        log=LOG,
    )
    step = name_claim_by_uid({"account": cast("Any", ACCOUNT)})
    asyncio.run(step(cast("Spawner", spawner)))
    return spawner


def digest(account: str) -> str:
    return claim_name(account, "lab.eu.auth0.com")


def test_a_new_home_says_whose_it_is() -> None:
    spawner = housed(Claims(), account="auth0|1")
    assert spawner.pvc_name == "home-uid-5001"
    assert spawner.storage_extra_annotations == {
        "mine": "1",
        OWNER_ANNOTATION: "ada",
        ACCOUNT_ANNOTATION: digest("auth0|1"),
    }


@pytest.mark.parametrize("account", [None, "auth0|1"])
def test_a_home_goes_on_being_its_owners(account: str | None) -> None:
    claims = Claims(**{"home-uid-5001": {OWNER_ANNOTATION: "ada"}})
    assert housed(claims, account=account).pvc_name == "home-uid-5001"


def test_a_renamed_user_keeps_the_home_by_the_account() -> None:
    claims = Claims(**{"home-uid-5001": {OWNER_ANNOTATION: "ada", ACCOUNT_ANNOTATION: digest("auth0|1")}})
    assert housed(claims, "ada-lovelace", "auth0|1").pvc_name == "home-uid-5001"


@pytest.mark.parametrize("account", [None, "auth0|2"])
def test_somebody_new_with_an_old_user_id_gets_no_home_and_no_hint_of_whose_it_was(
    account: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    claims = Claims(**{"home-uid-5001": {OWNER_ANNOTATION: "ada", ACCOUNT_ANNOTATION: digest("auth0|1")}})
    with pytest.raises(OthersHomeError) as refusal:
        housed(claims, "mallory", account)
    assert "made for somebody else" in refusal.value.jupyterhub_message
    assert "ada" not in refusal.value.jupyterhub_message
    assert "kubectl annotate --overwrite --namespace hub-test persistentvolumeclaim home-uid-5001" in caplog.text


def test_a_home_that_says_nothing_is_nobodys() -> None:
    with pytest.raises(OthersHomeError):
        housed(Claims(**{"home-uid-5001": dict[str, str]()}))


def test_a_home_that_cannot_be_looked_at_is_not_mounted() -> None:
    claims = Claims()
    claims.problem = OSError("away")
    with pytest.raises(ClaimAwayError):
        housed(claims)


REQUESTS = cast("HomesSettings", {"folder": "/srv", "uid": 1000, "gid": 100, "timeoutSeconds": 1.0})


@pytest.mark.parametrize(
    ("uid", "gid", "owner"), [(5001, 6000, (5001, 6000)), (1000, None, (1000, 100)), (None, None, (1000, 100))]
)
def test_a_home_is_asked_for_with_the_ids_its_server_has(
    uid: int | None, gid: int | None, owner: tuple[int, int]
) -> None:
    spawner = cast("Spawner", SimpleNamespace(uid=uid, gid=gid))
    assert owner_of(spawner, REQUESTS) == owner
