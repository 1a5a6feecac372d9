"""Whom a server runs as, written down: keys, rows, and the two files that a C library reads."""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.hub.files.lab_hub.identity import (
    GROUPS_KEY,
    MOST_KEY_CHARACTERS,
    Identity,
    IdentityKeyError,
    IdentityRowError,
    group_file,
    group_names,
    identity_key,
    identity_name,
    is_persons_gid,
    is_persons_uid,
    passwd_file,
    table_bytes,
    table_groups,
)

if TYPE_CHECKING:
    from pathlib import Path

KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
"""What Kubernetes takes for a key (``IsConfigMapKey``), beside ``.`` and what begins with ``..``."""

ids = st.integers(0, 2**31 - 1)
usernames = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters=":"), min_size=1, max_size=20
).filter(lambda name: name[0] not in "#+-")
group_texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters=":=,"), min_size=1, max_size=20
).filter(lambda name: name[0] not in "#+-")
identities = st.builds(Identity.of, usernames, ids, ids, st.dictionaries(group_texts, ids, max_size=6))


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20))
def test_a_key_is_one_kubernetes_takes_and_stands_for_its_name_alone(name: str) -> None:
    key = identity_key(name)
    assert KEY.fullmatch(key)
    assert not key.startswith(".")
    assert key != GROUPS_KEY
    assert identity_name(key) == name, "so two names never have one key"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("ada", "ada"),
        ("Ada.Lovelace_1", "Ada.Lovelace_1"),
        ("ada-l@lab.org", "ada-2dl-40lab.org"),
        ("-2d", "-2d2d"),
        (".", "-2e"),
        ("..x", "-2e.x"),
        ("żółw", "-c5-bc-c3-b3-c5-82w"),
        ("we*(ird)\\", "we-2a-28ird-29-5c"),
    ],
)
def test_keys_stay_what_they_are(name: str, key: str) -> None:
    assert identity_key(name) == key


@pytest.mark.parametrize("name", ["", "a" * (MOST_KEY_CHARACTERS + 1), "é" * 43, "\ud800"])
def test_a_name_no_key_stands_for_is_refused(name: str) -> None:
    with pytest.raises(IdentityKeyError):
        identity_key(name)


@given(identities)
def test_a_row_says_everything(identity: Identity) -> None:
    assert Identity.parse(identity.row()) == identity
    assert identity.row().count(":") == 3, "the policy splits by it"
    assert identity.gid not in identity.gids
    assert list(identity.gids) == sorted(set(identity.gids))


@given(st.dictionaries(group_texts, ids, max_size=6))
def test_names_of_groups_come_back_by_id(groups: dict[str, int]) -> None:
    names = group_names(table_groups(groups))
    assert set(names) == set(groups.values())
    assert all(groups[name] == number for number, name in names.items())


@pytest.mark.parametrize(
    "row",
    [
        "",
        "ada",
        "ada:1:2",
        "ada:1:2::",
        ":1:2:",
        "ada:x:2:",
        "ada:-1:2:",
        "ada:01:2:",
        "ada:1:2:g",
        "ada:1:2:g=",
        "ada:1:2:=3",
        "ada:1:2:g=3,",
        "ada:1:2:g=3=4",
        "a da:1:2:",
        "ada:1:2:g=3\n",
        "ada:99999999999:2:",
    ],
)
def test_what_is_no_row_is_no_identity(row: str) -> None:
    with pytest.raises(IdentityRowError):
        Identity.parse(row)


@pytest.mark.parametrize("name", ["a:b", "a b", "a\nroot::0:0:::/bin/sh", "a\tb", "\x7f", "#a", "+a", "-a"])
def test_a_name_that_would_be_another_line_is_refused(name: str) -> None:
    with pytest.raises(IdentityRowError):
        Identity(name, 5001, 5001)


def test_size_is_that_of_the_values_or_of_all_that_is_stored_with_them() -> None:
    assert table_bytes({"a": "ż" * 1000}) == 2000
    assert table_bytes({"abcd": "xy"} | {"efgh": "xy"}) == 2 * (2 + 8 + 16) * 2 // 3


def test_whose_ids_are_a_persons() -> None:
    assert [
        uid for uid in (0, 100, 999, 1000, 65533, 65534, 65535, 70000, 70001) if is_persons_uid(uid, 1000, 70000)
    ] == [
        1000,
        65533,
        70000,
    ]
    assert [gid for gid in (0, 99, 100, 101, 999, 1000, 65534) if is_persons_gid(gid, 1000, 59999)] == [100, 1000]


class Passwd(ctypes.Structure):
    """``struct passwd`` (pwd.h)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("password", ctypes.c_char_p),
        ("uid", ctypes.c_uint),
        ("gid", ctypes.c_uint),
        ("gecos", ctypes.c_char_p),
        ("home", ctypes.c_char_p),
        ("shell", ctypes.c_char_p),
    )


class Group(ctypes.Structure):
    """``struct group`` (grp.h)."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("password", ctypes.c_char_p),
        ("gid", ctypes.c_uint),
        ("members", ctypes.POINTER(ctypes.c_char_p)),
    )


def read_by_libc(path: Path, reader: str, entry: type[ctypes.Structure]) -> list[ctypes.Structure]:
    """Return what the C library's own parser makes of a file: what ``getent``, ``ls`` and ``ssh`` see."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fopen.restype = ctypes.c_void_p
    read = getattr(libc, reader)
    read.restype, read.argtypes = ctypes.POINTER(entry), [ctypes.c_void_p]
    stream = libc.fopen(str(path).encode(), b"r")
    found: list[ctypes.Structure] = []
    while record := read(stream):
        copy = entry()
        for name, *_ in entry._fields_:
            setattr(copy, name, getattr(record.contents, name))
        found.append(copy)
    libc.fclose(ctypes.c_void_p(stream))
    return found


@given(identity=identities)
def test_the_c_library_reads_the_user_and_nobody_it_was_not_told(
    identity: Identity, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "passwd"
    path.write_text(passwd_file(identity, "/home/jovyan", "/bin/bash"), encoding="utf-8", newline="")
    users = read_by_libc(path, "fgetpwent", Passwd)
    assert [(user.name, user.uid) for user in users[:3]] == [(b"root", 0), (b"daemon", 1), (b"nobody", 65534)]
    (own,) = users[3:]
    assert (own.name.decode(), own.uid, own.gid) == (identity.username, identity.uid, identity.gid)
    assert (own.home, own.shell) == (b"/home/jovyan", b"/bin/bash")


def test_the_c_library_reads_the_groups(tmp_path: Path) -> None:
    identity = Identity.of("ada", 5001, 6000, {"imaging": 6001, "Domain Users": 6002, "lab": 6000})
    path = tmp_path / "group"
    path.write_text(group_file(identity, "lab"), encoding="utf-8")
    groups = read_by_libc(path, "fgetgrent", Group)
    assert [(group.name.decode(), group.gid) for group in groups] == [
        ("root", 0),
        ("daemon", 1),
        ("tty", 5),
        ("nogroup", 65534),
        ("lab", 6000),
        ("imaging", 6001),
        ("Domain Users", 6002),
    ]


@pytest.mark.parametrize(
    ("username", "primary", "groups", "name"),
    [
        ("ada", "lab", {}, "lab"),
        ("ada", None, {}, "ada"),
        ("ada", "root", {}, "ada"),
        ("ada", None, {"ada": 6001}, "group6000"),
        ("tty", "nogroup", {}, "group6000"),
    ],
)
def test_the_primary_group_never_takes_another_groups_name(
    username: str, primary: str | None, groups: dict[str, int], name: str
) -> None:
    text = group_file(Identity.of(username, 5001, 6000, groups), primary)
    assert f"\n{name}:x:6000:\n" in text
    names = [line.partition(":")[0] for line in text.splitlines()]
    assert len(names) == len(set(names))
