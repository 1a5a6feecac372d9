"""Who is let in, and by what; and that nobody but the right host is spoken to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_server import LOOPBACK, SshHost, key_pair, serving

from labctl.ssh import (
    AgentError,
    AuthenticationError,
    Connector,
    HostKeyMismatchError,
    NotSshError,
    PrivateKeyError,
    Target,
    UnreachableError,
    fingerprint,
)


def whoami(connector: Connector, target: Target) -> bytes:
    return connector.run(target, "echo in").stdout


@pytest.fixture
def nobody(target: Target) -> Target:
    """A target with no way in yet."""
    return replace(target, private_key=None)


@pytest.fixture
def agent(tmp_path: Path) -> Generator[Path]:
    """Socket of an agent that holds no key yet."""
    socket = tmp_path / "agent"
    with subprocess.Popen([tool("ssh-agent"), "-D", "-a", socket], stdout=subprocess.DEVNULL) as process:
        while not socket.exists():
            assert process.poll() is None
            time.sleep(0.02)
        yield socket
        process.terminate()


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} of openssh-client is not on PATH"
    return found


def add(agent: Path, private: str) -> None:
    subprocess.run(
        [tool("ssh-add"), "-q", "-"],
        input=private,
        text=True,
        check=True,
        env={**os.environ, "SSH_AUTH_SOCK": str(agent)},
    )


# -- the host ---------------------------------------------------------------------------------------------------------


def test_another_host_is_told_by_both_fingerprints_and_sent_nothing(
    connector: Connector, host: SshHost, target: Target
) -> None:
    _, other = key_pair()
    with pytest.raises(HostKeyMismatchError) as caught:
        connector.run(replace(target, host_key=other, password="canary", dial_retries=5), "true")
    assert fingerprint(other) in str(caught.value)
    assert fingerprint(host.public_key) in str(caught.value)
    assert (host.users, host.commands, len(host.connections)) == ([], [], 1)  # not tried again


def test_a_host_with_a_key_of_another_kind_only_is_told_by_both_fingerprints(
    connector: Connector, host: SshHost, target: Target
) -> None:
    _, other = key_pair("ecdsa-sha2-nistp256")
    with pytest.raises(HostKeyMismatchError) as caught:
        connector.run(replace(target, host_key=other), "true")
    assert caught.value.pinned == fingerprint(other)
    assert caught.value.presented == fingerprint(host.public_key)
    assert host.users == []


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp384", "ssh-rsa"])
def test_keys_of_every_kind(connector: Connector, host: SshHost, target: Target, kind: str) -> None:
    private, public = key_pair(kind)
    with serving(SshHost(host_key=private, authorized=(public,))) as other:
        reached = replace(target, host_key=other.public_key, port=other.port, private_key=private)
        assert whoami(connector, reached) == b"in\n"
        connector.close()


def test_nothing_of_the_person_is_used(
    connector: Connector, nobody: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: SshHost
) -> None:
    """Neither keys nor configuration nor an agent that happen to be there."""
    private, public = key_pair()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_text(private, encoding="utf-8")
    (tmp_path / ".ssh" / "config").write_text("Host *\n  Port 1\n  ProxyCommand false\n", encoding="utf-8")
    (tmp_path / ".ssh" / "known_hosts").write_text(f"* {public}\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "no-agent"))
    with serving(SshHost(authorized=(public,))) as other:
        reached = replace(nobody, host_key=other.public_key, port=other.port)
        with pytest.raises(AuthenticationError, match="offered: nothing: no private key, no agent, no password"):
            whoami(connector, reached)
        connector.close()


# -- the user ---------------------------------------------------------------------------------------------------------


def test_a_private_key_without_a_last_line_break(connector: Connector, target: Target) -> None:
    assert target.private_key is not None
    assert whoami(connector, replace(target, private_key=target.private_key.rstrip("\n"))) == b"in\n"


def test_a_private_key_that_the_host_does_not_know_is_tried_once(
    connector: Connector, host: SshHost, target: Target
) -> None:
    stranger = replace(target, private_key=key_pair()[0], dial_retries=10)
    with pytest.raises(AuthenticationError, match=r"lab@127.*does not let this user in; offered: the private key$"):
        whoami(connector, stranger)
    assert len(host.connections) == 1


def test_a_private_key_with_a_passphrase(connector: Connector, target: Target) -> None:
    private, public = key_pair(passphrase="canary phrase")
    with serving(SshHost(authorized=(public,))) as other:
        locked = replace(target, host_key=other.public_key, port=other.port, private_key=private)
        assert whoami(connector, replace(locked, passphrase="canary phrase")) == b"in\n"
        for wrong in (None, "canary guess"):
            with pytest.raises(PrivateKeyError, match="its passphrase is missing or wrong") as caught:
                whoami(connector, replace(locked, passphrase=wrong))
            assert "canary" not in str(caught.value)
        connector.close()


def test_what_is_no_private_key(connector: Connector, host: SshHost, target: Target) -> None:
    with pytest.raises(PrivateKeyError, match="it is no private key in OpenSSH, PEM or PKCS#8 form") as caught:
        whoami(connector, replace(target, private_key="canary"))
    assert "canary" not in str(caught.value)
    assert host.connections == []


def test_a_password(connector: Connector, host: SshHost, nobody: Target) -> None:
    host.password = "canary-word"
    assert whoami(connector, replace(nobody, password="canary-word")) == b"in\n"
    with pytest.raises(AuthenticationError, match="offered: the password") as caught:
        whoami(connector, replace(nobody, password="canary-guess"))
    assert "canary" not in str(caught.value)


def test_a_password_after_a_private_key_that_did_not_do(connector: Connector, host: SshHost, target: Target) -> None:
    host.password = "word"
    assert whoami(connector, replace(target, private_key=key_pair()[0], password="word")) == b"in\n"


def test_an_agent(connector: Connector, nobody: Target, target: Target, agent: Path) -> None:
    asked = replace(nobody, agent_socket=str(agent))
    with pytest.raises(AuthenticationError, match=r"offered: the keys of the agent at /"):
        whoami(connector, asked)
    assert target.private_key is not None
    add(agent, key_pair()[0])
    add(agent, target.private_key)
    assert whoami(connector, asked) == b"in\n"


def test_an_agent_that_is_not_there(connector: Connector, nobody: Target, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"the SSH agent at .*no-agent does not answer"):
        whoami(connector, replace(nobody, agent_socket=str(tmp_path / "no-agent")))


def test_a_jump_host_is_checked_like_any_other(
    connector: Connector, host: SshHost, target: Target, target_of: Callable[[SshHost], Target]
) -> None:
    with serving(SshHost(authorized=host.authorized, forwarding=True)) as jump:
        impostor = replace(target_of(jump), host_key=key_pair()[1])
        with pytest.raises(HostKeyMismatchError, match=f"{LOOPBACK}:{jump.port} is not the host"):
            whoami(connector, replace(target, proxy=impostor))
        with pytest.raises(HostKeyMismatchError, match=f"{LOOPBACK}:{host.port} is not the host"):
            whoami(connector, replace(target, host_key=key_pair()[1], proxy=target_of(jump)))
        assert host.users == []
        connector.close()


# -- the keys that hosts show -----------------------------------------------------------------------------------------


def test_host_keys_are_collected(connector: Connector, host: SshHost, target_of: Callable[[SshHost], Target]) -> None:
    assert connector.host_keys(LOOPBACK, host.port) == (host.public_key,)
    with serving(SshHost(authorized=host.authorized, forwarding=True)) as jump:
        assert connector.host_keys(LOOPBACK, host.port, proxy=target_of(jump)) == (host.public_key,)
        connector.close()
    assert host.users == []


def test_host_keys_of_nobody(connector: Connector, host: SshHost) -> None:
    host.close()
    try:
        with pytest.raises(UnreachableError, match=rf"{LOOPBACK}:{host.port} cannot be reached"):
            connector.host_keys(LOOPBACK, host.port)
    finally:
        host.open()


def test_what_speaks_no_ssh(connector: Connector, target: Target) -> None:
    server = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
    server += "while True: c = s.accept()[0]; c.sendall(b'SSH-1.0-old\\r\\n')"
    with subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            with pytest.raises(NotSshError, match="answers, but not as an SSH server"):
                whoami(connector, replace(target, port=port))
        finally:
            process.kill()
