"""Sign-in at a real OpenID Connect provider, and JupyterHub itself with the classes and settings of the plan."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from lab_authority import Authority
from oidc_bed import ANA, BO, CLIENT_SECRET, Provider, come_in, oidc_provider, signed_in
from signin_bed import CONTACT, Browser, Hub, eventually, free_port, sign_in_hub

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager
    from pathlib import Path


pytestmark = pytest.mark.skipif(
    os.environ.get("LAB_TESTS") != "all", reason="runs an OpenID Connect provider from npm: needs LAB_TESTS=all"
)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def provider(tmp_path: Path, port: int) -> Generator[Provider]:
    with oidc_provider(tmp_path / "provider", f"http://127.0.0.1:{port}/hub/oauth_callback") as made:
        made.claim({"sub-ana": ANA, "sub-bo": BO})
        yield made


@pytest.fixture
def hub(tmp_path: Path, provider: Provider, port: int) -> Generator[Hub]:
    with oidc_hub(tmp_path / "hub", provider, port) as made:
        yield made


def oidc_hub(
    folder: Path, provider: Provider, port: int, secret: str = CLIENT_SECRET, **changes: object
) -> AbstractContextManager[Hub]:
    callback = {"oauth_callback_url": f"http://127.0.0.1:{port}/hub/oauth_callback"}
    return sign_in_hub(
        folder,
        provider.section(**changes),
        secret,
        port=port,
        GenericOAuthenticator=callback,
        LabSignIn={"auth_refresh_age": 1},
    )


def test_groups_follow_the_provider_while_access_tokens_come_and_go(hub: Hub, provider: Provider) -> None:
    browser = signed_in(hub, provider, "sub-ana")
    assert hub.groups("ana") == {"students", "staff"}
    assert hub.user("ana")["admin"] is False
    first = hub.state("ana")
    assert first["refresh_token"]

    provider.claim({"sub-ana": {**ANA, "groups": ["students", "operators"]}})
    eventually(lambda: browser.is_in() and hub.groups("ana") == {"students", "operators"}, "ana is in other groups", 30)
    assert hub.user("ana")["admin"] is True
    provider.claim({"sub-ana": ANA})
    eventually(lambda: browser.is_in() and hub.user("ana")["admin"] is False, "ana is no administrator any more", 30)
    # Access tokens last three seconds here, and the provider gives a new refresh token with each; a second use of one
    # would have ended the session.
    eventually(lambda: browser.is_in() and hub.state("ana")["refresh_token"] != first["refresh_token"], "renewed", 30)
    assert browser.is_in()
    assert CLIENT_SECRET not in hub.log()


def test_who_leaves_the_last_allowed_group_is_signed_out_and_reads_why(hub: Hub, provider: Provider) -> None:
    browser = signed_in(hub, provider, "sub-bo")
    provider.claim({"sub-bo": {**BO, "groups": ["guests"]}})
    eventually(lambda: not browser.is_in(), "bo is signed out", 30)
    answer = browser.get("/hub/oauth_login")
    while answer.url.host == "localhost" and "<form" in answer.text:
        answer = browser.send(answer)
    assert answer.status_code == 403
    assert "You are known as bo, but this hub is open to members of students, staff, operators." in answer.text
    assert "You are a member of guests." in answer.text
    assert f"Ask {CONTACT}." in answer.text


def test_whose_account_the_provider_closed_is_signed_out(hub: Hub, provider: Provider) -> None:
    browser = signed_in(hub, provider, "sub-bo")
    provider.claim({"sub-ana": ANA})
    eventually(lambda: not browser.is_in(), "bo is signed out", 30)


def test_a_user_name_that_passed_to_another_account_gets_nothing_of_the_first(hub: Hub, provider: Provider) -> None:
    signed_in(hub, provider, "sub-bo")
    provider.claim({"sub-ana": {**ANA, "preferred_username": "bo"}})
    answer = come_in(Browser(hub, provider.trusted), "sub-ana")
    assert answer.status_code == 403
    assert "The name bo belonged to another account of this hub" in answer.text
    hub.delete("bo")
    signed_in(hub, provider, "sub-ana")
    assert hub.user("bo")["name"] == "bo"


def test_a_client_secret_that_was_changed_at_the_provider_is_told(
    tmp_path: Path, provider: Provider, port: int
) -> None:
    with oidc_hub(tmp_path / "hub", provider, port, secret="an-old-secret") as hub:
        answer = come_in(Browser(hub, provider.trusted), "sub-ana")
        assert answer.status_code == 503
        assert "does not accept this hub: its client secret has expired or was changed" in answer.text
        assert f"Ask {CONTACT}." in answer.text
        assert "set hub.authentication.clientSecret anew" in hub.log()
        assert "an-old-secret" not in hub.log()


def test_a_code_that_is_used_twice_is_said_in_words(hub: Hub, provider: Provider) -> None:
    browser = Browser(hub, provider.trusted)
    arrived = come_in(browser, "sub-ana")
    callback = next(str(each.url) for each in arrived.history if "oauth_callback" in str(each.url))
    again = browser.get(callback)
    assert again.status_code in {400, 403}
    assert "Traceback" not in again.text


def test_a_provider_that_somebody_else_vouches_for_is_not_told_the_secret(
    tmp_path: Path, provider: Provider, port: int
) -> None:
    other = Authority("Somebody else").certificate
    with oidc_hub(tmp_path / "hub", provider, port, authority=other) as hub:
        answer = come_in(Browser(hub, provider.trusted), "sub-ana")
        assert answer.status_code == 503
        assert "The sign-in service does not answer" in answer.text
        assert "certificate verify failed" in hub.log()


def test_two_tabs_that_ask_at_once_use_a_refresh_token_once(hub: Hub, provider: Provider) -> None:
    browser = signed_in(hub, provider, "sub-ana")
    for _ in range(4):
        browser.several(["/hub/home", "/hub/token", "/hub/home", "/hub/token"], pause=1.5)
        assert browser.is_in(), hub.log()[-3000:]
    assert "Error using refresh_token" not in hub.log()
