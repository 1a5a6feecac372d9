"""Host keys put into a stack file: that and nothing else changes in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.host_keys import stack_file
from labctl.host_keys.errors import FileChangedError, NotWritableError
from labctl.host_keys.stack_file import incomplete_nodes, with_host_keys, write_host_keys
from stacks.errors import StackFileError
from stacks.loading import load_stack_file
from stacks.reading import read_yaml

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0v6NH7anTus2RJs7dNYAOwh7FK1Ah7GQw3WUW15JvI"
FILE = """# The lab.   Odd   spacing stays.
encryptionsalt: v1:x
config:
    research-compute:cluster:   # indented by four
        nodes:
            hosts:
                cp-1:
                    address: 192.0.2.11     # rack 4
                    roles: [ control-plane ]
                    hardware: {cpus: 8, memory: 32Gi,
                               ephemeralStorage: 100G}

                # The second one.
                cp-2: {address: "192.0.2.12", roles: [worker], hardware: {cpus: 8}}
                cp-3:
                    hostKey:
                    roles:
                    - worker
                    address: '192.0.2.13'
        contact: 'x@example.org'
"""


def test_lines_in_every_layout() -> None:
    expected = (
        FILE.replace("# rack 4\n", f"# rack 4\n                    hostKey: {KEY}\n")
        .replace('"192.0.2.12"', f'"192.0.2.12", hostKey: {OTHER}')
        .replace("hostKey:\n", f"hostKey: {KEY}\n")
    )
    assert with_host_keys(FILE, {"cp-1": KEY, "cp-2": OTHER, "cp-3": KEY}, "f") == expected


def test_line_ends_of_another_system() -> None:
    text = FILE.replace("\n", "\r\n")
    assert with_host_keys(text, {"cp-1": KEY}, "f") == with_host_keys(FILE, {"cp-1": KEY}, "f").replace("\n", "\r\n")


def test_a_file_that_ends_with_the_address() -> None:
    text = "config:\n  cluster:\n    nodes:\n      hosts:\n        cp-1:\n          address: 192.0.2.11"
    assert with_host_keys(text, {"cp-1": KEY}, "f") == f"{text}\n          hostKey: {KEY}"


@pytest.mark.parametrize("null", ["", " ~", " null"])
def test_a_key_that_is_there_and_empty(null: str) -> None:
    head = "config:\n  cluster:\n    nodes:\n      hosts:\n        a:\n"
    text = f"{head}          hostKey:{null}   # soon\n          address: 192.0.2.1\n"
    assert with_host_keys(text, {"a": KEY}, "f") == text.replace(f"hostKey:{null} ", f"hostKey: {KEY} ")


ALIASED = """config:
  cluster:
    nodes:
      hosts:
        a: &a
          address: 192.0.2.1
        b: *a
"""


@pytest.mark.parametrize(
    ("text", "host"),
    [
        (ALIASED, "a"),
        (ALIASED, "b"),
        (FILE.replace("hostKey:", f"hostKey: {OTHER}"), "cp-3"),
        (FILE, "nobody"),
        (FILE.replace("address: '192.0.2.13'", "port: 4"), "cp-3x"),
        ("config: 4\n", "a"),
    ],
)
def test_what_would_change_something_else_is_not_written(text: str, host: str) -> None:
    with pytest.raises(NotWritableError, match="nothing was written"):
        with_host_keys(text, {host: KEY}, "f")


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["# note", "", "  # deep note"]), max_size=3),
    st.integers(1, 6),
    st.sampled_from(["flow", "block"]),
)
def test_it_reads_back(notes: list[str], step: int, style: str) -> None:
    pad = [" " * (step * depth) for depth in range(6)]
    host = (
        "{address: 192.0.2.1, roles: [worker]}"
        if style == "flow"
        else f"\n{pad[5]}address: 192.0.2.1\n{pad[5]}roles: [worker]"
    )
    lines = [
        f"{pad[0]}config:",
        f"{pad[1]}cluster:",
        f"{pad[2]}nodes:",
        f"{pad[3]}hosts:",
        f"{pad[4]}a: {host}",
        *notes,
    ]
    text = "\n".join(lines) + "\n"
    edited = with_host_keys(text, {"a": KEY}, "f")
    value = read_yaml(edited).value
    assert value == {
        "config": {
            "cluster": {"nodes": {"hosts": {"a": {"address": "192.0.2.1", "hostKey": KEY, "roles": ["worker"]}}}}
        }
    }
    assert edited.replace(f", hostKey: {KEY}", "").replace(f"{pad[5]}hostKey: {KEY}\n", "") == text


def test_written_through_a_link_with_its_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "Pulumi.prod.yaml"
    real.write_text(FILE, encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)
    write_host_keys(link, {"cp-1": KEY})
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == with_host_keys(FILE, {"cp-1": KEY}, "f")
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Pulumi.prod.yaml", "real.yaml"]


def test_a_file_somebody_saves_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(FILE, encoding="utf-8")
    sync = os.fsync

    def saved(descriptor: int) -> None:
        path.write_text("# mine\n", encoding="utf-8")
        sync(descriptor)

    monkeypatch.setattr(stack_file.os, "fsync", saved)
    with pytest.raises(FileChangedError):
        write_host_keys(path, {"cp-1": KEY})
    assert path.read_text(encoding="utf-8") == "# mine\n"
    assert [found.name for found in tmp_path.iterdir()] == ["Pulumi.prod.yaml"]


def case(root: Path, tmp_path: Path, change: tuple[str, str] = ("", "")) -> Path:
    """Return a stack file whose worker has no host key, changed."""
    text = (root / "tests/unit/data/config/host.error.missing-host-key.yaml").read_text(encoding="utf-8")
    assert change[0] in text
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(text.replace(*change) if change[0] else text, encoding="utf-8")
    return path


def test_a_file_whose_host_keys_are_missing_is_read(root: Path, tmp_path: Path) -> None:
    config = incomplete_nodes(load_stack_file(case(root, tmp_path)))
    assert {name: host.host_key is None for name, host in config.hosts.items()} == {"cp-1": False, "worker-1": True}


@pytest.mark.parametrize(
    "change",
    [
        ("    network: {hosts: 192.0.2.0/24, pods: 10.244.0.0/16, services: 10.96.0.0/16}\n", ""),
        ("contact: cluster@lab.example.org", "contact: nobody"),
    ],
)
def test_other_sections_may_be_unfinished(root: Path, tmp_path: Path, change: tuple[str, str]) -> None:
    assert len(incomplete_nodes(load_stack_file(case(root, tmp_path, change))).hosts) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("address: 192.0.2.12", "address: 198.51.100.12"), "lies outside the hosts' network"),
        (("address: 192.0.2.12", "address: 192.0.2.11"), "is already the address"),
        (("address: 192.0.2.12", "adress: 192.0.2.12"), "adress"),
        (("roles: [worker]", "roles: [worker]\n          hostKey: nonsense"), "not an OpenSSH public host key"),
    ],
)
def test_what_is_wrong_with_the_hosts_is_said(
    root: Path, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(StackFileError, match=message):
        incomplete_nodes(load_stack_file(case(root, tmp_path, change)))
