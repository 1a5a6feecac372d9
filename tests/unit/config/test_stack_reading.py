"""The file as both engines read it: YAML 1.2, and nothing two readers would read differently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from components.secrets import plain_secret
from stacks.errors import StackFileError
from stacks.loading import PlainValue, SealedValue, load_stack_file
from stacks.reading import read_yaml

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("1e3", 1000),
        ("1.0", 1),
        ("0.5", 0.5),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ('"8"', "8"),
        ("'on'", "on"),
        ("1.36.3", "1.36.3"),
        ("v1.21.2", "v1.21.2"),
        ("!!str 12", "12"),
        ("64Gi", "64Gi"),
    ],
)
def test_scalars(scalar: str, value: object) -> None:
    document = read_yaml(f"key: {scalar}\n")
    assert isinstance(document.value, dict)
    read = document.value["key"]
    assert read == value
    assert isinstance(read, type(value))
    assert not document.problems


@pytest.mark.parametrize("scalar", ["0777", "-012", "1_000", "0b11", "2026-01-01", ".inf", ".nan", "!lab x"])
def test_what_readers_disagree_on_is_refused(scalar: str) -> None:
    (problem,) = read_yaml(f"list:\n  - {scalar}\n").problems
    assert problem.path == ("list", 0)
    assert problem.line == 2


def test_aliases_are_plain_data() -> None:
    assert read_yaml("a: &x {b: 1}\nc: *x\n").value == {"a": {"b": 1}, "c": {"b": 1}}


def test_every_duplicate_is_found_with_both_lines() -> None:
    first, second = read_yaml("a: 1\nb: {c: 1, c: 2}\na: 3\n").problems
    assert (first.path, first.line) == (("b", "c"), 2)
    assert (second.path, second.line) == (("a",), 3)
    assert "line 1" in second.what


def test_secrets_stay_sealed_and_plain_values_become_what_the_cli_hands_over(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(
        "config:\n"
        "  research-compute:cluster: {name: lab, port: 22, on: on}\n"
        "  plain: 12:30\n"
        "  research-compute:flag: true\n"
        "  research-compute:clientSecret: {secure: v1:AAAA:BBBB}\n"
        "encryptionsalt: v1:salt\n"
    )
    file = load_stack_file(path)
    assert file.config["research-compute:clientSecret"] == SealedValue("v1:AAAA:BBBB")
    assert file.config["research-compute:plain"] == PlainValue("12:30")
    assert file.encryption_salt == "v1:salt"

    texts, secret_keys = file.program_config(unseal=None)
    assert json.loads(texts["research-compute:cluster"]) == {"name": "lab", "port": 22, "on": "on"}
    assert texts["research-compute:flag"] == "true"
    assert "research-compute:clientSecret" not in texts
    assert secret_keys == []

    texts, secret_keys = file.program_config(unseal=lambda ciphertext: f"plain of {ciphertext}")
    assert texts["research-compute:clientSecret"] == "plain of v1:AAAA:BBBB"
    assert secret_keys == ["research-compute:clientSecret"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StackFileError, match="there is no such file"):
        load_stack_file(tmp_path / "Pulumi.nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "key", "kind"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "hostKey", "a private key"),
        ("github_pat_11AAAAAAA0123456789abcdef", "x", "a GitHub token"),
        ("glpat-0123456789abcdefghij", "x", "a GitLab token"),
        ("GOCSPX-0123456789abcdefghij", "x", "a Google OAuth client secret"),
        ("https://user:pass@registry.example.org", "mirror", "a password in a URL"),
        ("$2b$12$abcdefghijklmnopqrstuv", "x", "a password hash"),
        ("hunter2", "adminPassword", "the value of adminPassword"),
        ("anything", "clientSecret", "the value of clientSecret"),
        ("-----BEGIN CERTIFICATE-----", "certificate", None),
        ("https://registry.example.org", "mirror", None),
        ("githubClientSecret", "secret", None),
        ("", "password", None),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c", "hostKey", None),
    ],
)
def test_what_looks_like_a_secret(text: str, key: str, kind: str | None) -> None:
    assert plain_secret(text, key) == kind
