"""Accounts of the hub's own in JupyterHub itself, with the classes and settings of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from signin_bed import Browser, Hub, eventually, sign_in_hub

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FIRST, GOOD = "f1rst-passw0rd-of-all", "a-long-and-rare-sentence"
SECTION = {
    "kind": "native",
    "admins": ["boss"],
    "adminPassword": {"secret": "hubAdminPassword"},
    "groups": {"students": ["ana", "bo"], "staff": ["ana"]},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Generator[Hub]:
    with sign_in_hub(tmp_path_factory.mktemp("hub"), SECTION, FIRST, LabSignIn={"auth_refresh_age": 1}) as made:
        yield made


@pytest.fixture(scope="module")
def boss(hub: Hub) -> Browser:
    browser = Browser(hub)
    browser.sign_in("boss", FIRST)
    assert browser.is_in(), hub.log()[-3000:]
    return browser


def ask_for_an_account(hub: Hub, name: str, password: str) -> str:
    browser = Browser(hub)
    page = browser.get("/hub/signup")
    return browser.send(page, username=name, signup_password=password, signup_password_confirmation=password).text


def account(hub: Hub, name: str) -> str:
    return hub.known(name, "native_user")["account"]


def test_an_account_works_once_an_admin_has_approved_it(hub: Hub, boss: Browser) -> None:
    assert hub.user("boss")["admin"] is True
    assert "sent to the admin" in ask_for_an_account(hub, "ana", GOOD)
    ana = Browser(hub)
    answer = ana.sign_in("ana", GOOD)
    assert answer.status_code == 403
    assert "an administrator has not approved the account yet" in answer.text

    assert boss.get("/hub/authorize/ana").status_code == 405, "a link approves nothing"
    assert "Waits for approval" in boss.get("/hub/authorize").text
    boss.post_form("/hub/authorize", "/hub/authorize/ana")
    ana.sign_in("ana", GOOD)
    assert ana.is_in(), hub.log()[-3000:]
    assert hub.groups("ana") == {"staff", "students"}
    assert hub.user("ana")["admin"] is False
    assert ana.get("/hub/authorize").status_code == 403, "only an administrator sees accounts"

    boss.post_form("/hub/authorize", "/hub/authorize/ana")
    eventually(lambda: not ana.is_in(), "ana is signed out once the approval is taken back", 30)
    assert GOOD not in hub.log()
    assert FIRST not in hub.log()


def test_whoever_claims_an_admins_name_first_gets_nothing(tmp_path: Path) -> None:
    # Without a first password, so that the name is free.
    with sign_in_hub(tmp_path / "hub", SECTION, "") as hub:
        ask_for_an_account(hub, "boss", GOOD)
        browser = Browser(hub)
        assert browser.sign_in("boss", GOOD).status_code == 403
        assert not browser.is_in()


@pytest.mark.parametrize("password", ["short", "qwertyqwerty", "x" * 73], ids=["short", "common", "beyond bcrypt"])
def test_a_weak_password_is_refused(hub: Hub, password: str) -> None:
    assert "Something went wrong" in ask_for_an_account(hub, "weak", password)


@pytest.mark.parametrize("name", ["ana", "boss", "nobody"])
def test_a_wrong_password_or_one_beyond_bcrypt_is_refused_alike(hub: Hub, name: str) -> None:
    for password in ("wrong", "", "x" * 100):
        answer = Browser(hub).sign_in(name, password)
        assert (answer.status_code, "Name or password is wrong" in answer.text) == (403, True)


def test_a_name_that_was_freed_comes_with_another_account(hub: Hub, boss: Browser) -> None:
    ask_for_an_account(hub, "bo", GOOD)
    boss.post_form("/hub/authorize", "/hub/authorize/bo")
    bo = Browser(hub)
    bo.sign_in("bo", GOOD)
    first = account(hub, "bo")
    boss.post_form("/hub/authorize", "/hub/authorize/bo")
    boss.post_form("/hub/authorize", "/hub/discard/bo")

    ask_for_an_account(hub, "bo", GOOD + "-2")
    boss.post_form("/hub/authorize", "/hub/authorize/bo")
    second = Browser(hub)
    answer = second.sign_in("bo", GOOD + "-2")
    assert answer.status_code == 403
    assert "The name bo belonged to another account of this hub" in answer.text
    hub.delete("bo")
    # Deleting the hub's user deletes its account with it (NativeAuthenticator), so a third one has to be asked for.
    ask_for_an_account(hub, "bo", GOOD + "-3")
    boss.post_form("/hub/authorize", "/hub/authorize/bo")
    second.sign_in("bo", GOOD + "-3")
    assert second.is_in(), hub.log()[-3000:]
    assert account(hub, "bo") != first


def test_after_ten_wrong_passwords_even_the_right_one_waits(hub: Hub, boss: Browser) -> None:
    ask_for_an_account(hub, "cleo", GOOD)
    boss.post_form("/hub/authorize", "/hub/authorize/cleo")
    for _ in range(10):
        assert Browser(hub).sign_in("cleo", "wrong").status_code == 403
    browser = Browser(hub)
    assert browser.sign_in("cleo", GOOD).status_code == 403
    assert not browser.is_in()


def test_without_sign_up_nobody_asks(tmp_path: Path) -> None:
    with sign_in_hub(tmp_path / "hub", {**SECTION, "signUp": False}, FIRST) as hub:
        assert Browser(hub).get("/hub/signup").status_code == 404
        boss = Browser(hub)
        boss.sign_in("boss", FIRST)
        assert boss.is_in()


def test_the_dummy_has_the_groups_of_the_stack_file(tmp_path: Path) -> None:
    section = {"kind": "dummy", "admins": ["operator"], "groups": {"students": ["ana"], "gpu": ["ana", "bo"]}}
    with sign_in_hub(tmp_path / "hub", section, "") as hub:
        for name, groups, is_admin in (
            ("ana", {"gpu", "students"}, False),
            ("cy", set[str](), False),
            ("operator", set[str](), True),
        ):
            browser = Browser(hub)
            browser.sign_in(name, "anything")
            assert browser.is_in(), hub.log()[-3000:]
            assert (hub.groups(name), hub.user(name)["admin"]) == (groups, is_admin)
