"""Sign-in at a real directory: slapd on loopback, and JupyterHub itself with the classes and settings of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from debian_programs import LDAP_TOOLS, SLAPD, needs
from directory_bed import BIND_PASSWORD, GROUPS, PEOPLE, UNIX, DirectoryServer, directory_server, password_of
from lab_authority import Authority
from signin_bed import CONTACT, Browser, Hub, eventually, plan, sign_in_hub

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

pytestmark = needs(SLAPD, LDAP_TOOLS)


def section(directory: dict[str, object], **changes: object) -> dict[str, object]:
    return {
        "kind": "ldap",
        "directory": directory,
        "groups": ["students", "staff"],
        "adminGroups": ["operators"],
        **changes,
    }


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Generator[DirectoryServer]:
    with directory_server(tmp_path_factory.mktemp("directory") / "slapd") as server:
        yield server


@pytest.fixture(scope="module")
def hub(directory: DirectoryServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    with sign_in_hub(folder, section(directory.section()), BIND_PASSWORD, LabSignIn={"auth_refresh_age": 1}) as made:
        yield made


def signed_in(hub: Hub, key: str) -> Browser:
    browser = Browser(hub)
    browser.sign_in(key, password_of(key))
    assert browser.is_in(), hub.log()[-3000:]
    return browser


def test_groups_come_with_the_sign_in_and_the_account_is_kept(hub: Hub) -> None:
    signed_in(hub, "ana")
    assert hub.groups("ana") == {"students", "staff"}
    assert hub.user("ana")["admin"] is False
    known = hub.known("ana", "ldap_user")
    assert known["dn"] == f"uid=ana,{PEOPLE}"
    assert len(known["account"]) == 36, "entryUUID"
    assert BIND_PASSWORD not in hub.log()
    assert password_of("ana") not in hub.log()


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ana", "wrong"),
        ("ana", ""),
        ("nobody", "wrong"),
        ("*", password_of("ana")),
        ("*)(uid=*", password_of("ana")),
        ("ana)(objectClass=*", password_of("ana")),
        ("a*a", password_of("ana")),
    ],
)
def test_neither_a_wrong_password_nor_a_clever_name_gets_in(hub: Hub, name: str, password: str) -> None:
    browser = Browser(hub)
    answer = browser.sign_in(name, password)
    assert answer.status_code == 403
    assert "Invalid username or password" in answer.text
    assert not browser.is_in()


def test_a_name_with_everything_that_needs_escaping_is_one_person(hub: Hub) -> None:
    browser = Browser(hub)
    browser.sign_in("we*(ird)\\", password_of("weird"))
    assert browser.is_in(), hub.log()[-3000:]
    assert hub.groups("we*(ird)%5C") == {"students"}


def test_upper_case_and_spaces_are_the_same_person_not_a_second_one(hub: Hub) -> None:
    browser = Browser(hub)
    browser.sign_in("BO", password_of("bo"))
    assert browser.is_in()
    assert hub.user("bo")["name"] == "bo"


def test_somebody_in_no_allowed_group_reads_why_and_whom_to_ask(hub: Hub) -> None:
    browser = Browser(hub)
    answer = browser.sign_in("eve", password_of("eve"))
    assert answer.status_code == 403
    assert "You are known as eve, but this hub is open to members of students, staff, operators." in answer.text
    assert f"Ask {CONTACT}." in answer.text
    assert not browser.is_in()
    assert not hub.knows("eve")


def test_a_group_makes_administrators_and_leaving_it_ends_that(directory: DirectoryServer, hub: Hub) -> None:
    browser = signed_in(hub, "boss")
    assert hub.user("boss")["admin"] is True
    directory.change(f"dn: cn=staff,{GROUPS}\nchangetype: modify\nadd: member\nmember: {directory.person('boss')}\n")
    directory.leaves("boss", "operators")
    eventually(lambda: browser.is_in() and hub.user("boss")["admin"] is False, "boss is no administrator any more", 30)
    assert hub.groups("boss") == {"staff"}
    assert browser.is_in()


def test_who_leaves_a_group_while_signed_in_is_out_of_it(directory: DirectoryServer, hub: Hub) -> None:
    browser = signed_in(hub, "ana")
    directory.leaves("ana", "staff")
    eventually(lambda: browser.is_in() and hub.groups("ana") == {"students"}, "ana is out of staff", 30)


def test_who_leaves_the_last_allowed_group_is_signed_out_and_starts_nothing(
    directory: DirectoryServer, tmp_path: Path
) -> None:
    settings = section(directory.section())
    # A time between refreshes longer than the test: what refuses the start is the question before every start.
    with sign_in_hub(tmp_path / "hub", settings, BIND_PASSWORD, LabSignIn={"auth_refresh_age": 3600}) as hub:
        browser = signed_in(hub, "bo")
        browser.get("/hub/spawn/bo")
        assert "bo" in hub.started(), "the spawn page starts a server at once where there is nothing to choose"
        directory.leaves("bo", "students")
        started = hub.started()

        def refused() -> bool:
            return "You are known as bo, but this hub is open to members" in browser.get("/hub/spawn/bo").text

        # Answers of one refresh serve a few seconds.
        eventually(refused, "bo starts nothing any more", 30)
        starts = len(hub.started())
        assert refused()
        assert len(hub.started()) == starts >= len(started)
        answer = Browser(hub).sign_in("bo", password_of("bo"))
        assert "this hub is open to members of students" in answer.text


def test_who_is_deleted_from_the_directory_is_signed_out_and_a_successor_is_somebody_else(
    directory: DirectoryServer, hub: Hub
) -> None:
    entry = "objectClass: inetOrgPerson\ncn: zoe\nsn: zoe\nuid: zoe\nuserPassword: " + password_of("zoe") + "\n"
    dn = f"uid=zoe,{PEOPLE}"
    directory.change(f"dn: {dn}\nchangetype: add\n{entry}")
    directory.change(f"dn: cn=students,{GROUPS}\nchangetype: modify\nadd: member\nmember: {dn}\n")
    browser = signed_in(hub, "zoe")
    before = hub.known("zoe", "ldap_user")
    directory.change(f"dn: {dn}\nchangetype: delete\n")
    eventually(lambda: not browser.is_in(), "zoe is signed out", 30)

    directory.change(f"dn: {dn}\nchangetype: add\n{entry}")
    successor = Browser(hub)
    answer = successor.sign_in("zoe", password_of("zoe"))
    assert answer.status_code == 403
    assert "The name zoe belonged to another account of this hub" in answer.text
    hub.delete("zoe")
    successor.sign_in("zoe", password_of("zoe"))
    assert successor.is_in()
    assert hub.known("zoe", "ldap_user")["account"] != before["account"]


def test_over_start_tls_and_with_members_by_name(directory: DirectoryServer, tmp_path: Path) -> None:
    unix = {"base": UNIX}
    settings = section(directory.start_tls(groups=unix), groups=["students"], adminGroups=[])
    with sign_in_hub(tmp_path / "hub", settings, BIND_PASSWORD) as hub:
        browser = Browser(hub)
        browser.sign_in("we*(ird)\\", password_of("weird"))
        assert browser.is_in(), hub.log()[-3000:]
        assert hub.groups("we*(ird)%5C") == {"students"}


@pytest.mark.parametrize("tls", ["ldaps", "startTls"])
def test_a_server_that_somebody_else_vouches_for_gets_no_password(
    directory: DirectoryServer, tmp_path: Path, tls: str
) -> None:
    sealed = directory.section() if tls == "ldaps" else directory.start_tls()
    settings = section({**sealed, "authority": Authority("Somebody else").certificate})
    with sign_in_hub(tmp_path / "hub", settings, BIND_PASSWORD) as hub:
        answer = Browser(hub).sign_in("ana", password_of("ana"))
        assert answer.status_code == 503
        assert "directory does not answer as it should" in answer.text
        assert "certificate verify failed" in hub.log()


def test_a_server_of_another_name_gets_no_password(directory: DirectoryServer, tmp_path: Path) -> None:
    # The certificate is localhost's; the address is the same machine's.
    settings = section(directory.section())
    planned = cast("Mapping[str, object]", plan(settings, 1)[1]["LabLdap"]["directory"])
    changed = {"directory": {**planned, "server": "127.0.0.1"}}
    with sign_in_hub(tmp_path / "hub", settings, BIND_PASSWORD, LabLdap=changed) as hub:
        assert Browser(hub).sign_in("ana", password_of("ana")).status_code == 503
        assert "certificate verify failed" in hub.log()


def test_while_the_directory_is_away_people_stay_and_nobody_comes_in(tmp_path: Path) -> None:
    with directory_server(tmp_path / "slapd") as directory:
        settings = section(directory.section())
        with sign_in_hub(tmp_path / "hub", settings, BIND_PASSWORD, LabSignIn={"auth_refresh_age": 1}) as hub:
            browser = signed_in(hub, "ana")
            directory.stop()
            eventually(lambda: browser.is_in() and "stays signed in" in hub.log(), "the hub noticed", 30)
            assert browser.is_in()
            answer = Browser(hub).sign_in("bo", password_of("bo"))
            assert answer.status_code == 503
            assert f"Ask {CONTACT}." in answer.text


def test_a_changed_bind_password_is_said_to_the_person_and_to_the_log(
    directory: DirectoryServer, tmp_path: Path
) -> None:
    with sign_in_hub(tmp_path / "hub", section(directory.section()), "another-password") as hub:
        answer = Browser(hub).sign_in("ana", password_of("ana"))
        assert answer.status_code == 503
        assert "directory does not answer as it should" in answer.text
        assert "invalidCredentials" in hub.log()
        assert "another-password" not in hub.log()
