"""There is no target without a host key, and none shows a secret."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_server import key_pair

from labctl.ssh import MalformedHostKeyError, MissingHostKeyError, Target, fingerprint

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIICfQQtfTGdw5YlSnhBbWoE8Ja4nh9kZg9tFEyL2vGXn"


def _tool(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} of openssh-client is not on PATH"
    return found


def test_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path) -> None:
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"):
        _, public = key_pair(kind)
        file = tmp_path / "key.pub"
        file.write_text(public + "\n", encoding="utf-8")
        shown = subprocess.run([_tool("ssh-keygen"), "-lf", file], capture_output=True, text=True, check=True).stdout
        assert shown.split()[1] == fingerprint(public)
        assert Target(host="h", host_key=f"{public} root@h\n").fingerprint == fingerprint(public)


@pytest.mark.parametrize("missing", ["", "  \n"])
def test_without_a_host_key_there_is_no_target(missing: str) -> None:
    with pytest.raises(MissingHostKeyError, match=r"w01 has no host key.*ssh_host_ed25519_key.pub"):
        Target(host="w01", host_key=missing)


@pytest.mark.parametrize(
    "wrong",
    [
        "ssh-ed25519",
        "ssh-ed25519 !!!",
        f"w01 {PUBLIC}",
        PUBLIC.replace("ssh-ed25519", "ssh-rsa"),
        f"{PUBLIC}\n{PUBLIC}",
        "SHA256:uNiVztksCsDhcc0u9e8BrwhyNLmJLKrtKI0cXVWm2bs",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t",
    ],
)
def test_what_is_no_public_key_is_refused(wrong: str) -> None:
    with pytest.raises(MalformedHostKeyError, match="the host key given for w01 is no public key of OpenSSH") as caught:
        Target(host="w01", host_key=wrong)
    assert wrong == "ssh-ed25519" or wrong not in str(caught.value)


def test_no_secret_is_shown() -> None:
    target = Target(host="h", host_key=PUBLIC, private_key="canary-key", passphrase="canary-pass", password="canary-pw")
    assert "canary" not in repr(target)
    assert "canary" not in target.label


def test_a_connection_is_shared_by_targets_that_differ_in_patience_only() -> None:
    target = Target(host="h", host_key=PUBLIC)
    assert replace(target, dial_retries=1, dial_timeout_seconds=None).identity == target.identity
    assert replace(target, host_key=f"{PUBLIC} comment").identity == target.identity
    for changed in (
        replace(target, port=23),
        replace(target, user="lab"),
        replace(target, host_key=key_pair()[1]),
        replace(target, private_key="x"),
        replace(target, password="x"),
        replace(target, agent_socket="/x"),
        replace(target, proxy=target),
    ):
        assert changed.identity != target.identity


def test_labels() -> None:
    assert Target(host="h", host_key=PUBLIC).label == "root@h"
    assert Target(host="fd00::1", port=2222, host_key=PUBLIC, user="lab").label == "lab@[fd00::1]:2222"


def test_nothing_of_the_library_is_loaded_before_a_connection() -> None:
    """It takes 0.3 s, which a preview need not spend."""
    look = "import sys, labctl.engine.providers.command as c; c.CommandFactory().configure({}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert "labctl.ssh.connector" in done.stdout.split()
    assert "asyncssh" not in done.stdout.split()
