"""The same against OpenSSH's own sshd, on the loopback, with a configuration of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from ssh_server import LOOPBACK, key_pair

from labctl.ssh import (
    AuthenticationError,
    ConnectionLostError,
    Connector,
    HostKeyMismatchError,
    Target,
    VariableRefusedError,
    channel,
    fingerprint,
)

SEPARATION: Final = Path("/run/sshd")
"""Folder that sshd insists on when root runs it; made for the test where there is none."""
CONFIGURATION: Final = """
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
AuthenticationMethods publickey
UsePAM no
StrictModes no
PermitRootLogin yes
AcceptEnv LAB_TAKEN
MaxSessions 3
LogLevel ERROR
"""


@dataclass(frozen=True)
class Sshd:
    """A running sshd."""

    process: subprocess.Popen[bytes]
    target: Target

    def kill_sessions(self) -> None:
        """Kill the processes that serve connections, as a reboot would."""
        for child in self.children(self.process.pid):
            os.kill(child, signal.SIGKILL)

    def children(self, parent: int) -> list[int]:
        """Return the ids of all processes below `parent` that are sshd themselves."""
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        below = [int(child) for child in listed if Path(f"/proc/{child}/comm").read_text().startswith("sshd")]
        return [pid for child in below for pid in (child, *self.children(child))]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sshd]:
    executable = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if executable is None:
        reason = "sshd of openssh-server is neither on PATH nor in /usr/sbin"
        pytest.fail(reason) if os.environ.get("LAB_TESTS") == "all" else pytest.skip(reason)
    folder = tmp_path_factory.mktemp("sshd")
    private, public = key_pair()
    user_private, user_public = key_pair()
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
    (folder / "host_key").touch(mode=0o600)
    (folder / "host_key").write_text(private, encoding="ascii")
    (folder / "authorized_keys").write_text(user_public, encoding="ascii")
    configuration = CONFIGURATION.format(address=LOOPBACK, port=port, folder=folder)
    (folder / "sshd_config").write_text(configuration, encoding="utf-8")
    made = os.geteuid() == 0 and not SEPARATION.exists()
    if made:
        SEPARATION.mkdir(mode=0o755)
    target = Target(
        host=LOOPBACK, port=port, host_key=public, user=getpass.getuser(), private_key=user_private, dial_retries=10
    )
    with subprocess.Popen([executable, "-D", "-e", "-f", folder / "sshd_config"]) as process:
        try:
            yield Sshd(process, target)
        finally:
            process.terminate()
            process.wait()
            if made:
                SEPARATION.rmdir()


def test_real_input_output_and_status(connector: Connector, sshd: Sshd) -> None:
    given = os.urandom(1_048_576)
    done = connector.run(sshd.target, "tee /dev/stderr; exit 3", stdin=given)
    assert (done.status, done.stdout == given, done.stderr == given) == (3, True, True)
    assert connector.run(sshd.target, "kill -KILL $$").status == -signal.SIGKILL
    assert connector.run(sshd.target, "bash -s apply", stdin=b'echo "$1"\n').stdout == b"apply\n"


def test_a_real_sshd_takes_the_variables_it_lists(connector: Connector, sshd: Sshd) -> None:
    refused: list[str] = []
    done = connector.run(
        sshd.target,
        "echo $LAB_TAKEN ${OTHER-unset}",
        environment={"LAB_TAKEN": "taken"},
        hints={"OTHER": "x"},
        on_refused=refused.append,
    )
    assert (done.stdout, refused) == (b"taken unset\n", ["OTHER"])
    with pytest.raises(VariableRefusedError, match="AcceptEnv"):
        connector.run(sshd.target, "true", environment={"OTHER": "x"})


def test_a_real_sshd_with_fewer_sessions_than_threads(connector: Connector, sshd: Sshd) -> None:
    with ThreadPoolExecutor(max_workers=12) as pool:
        runs = [pool.submit(connector.run, sshd.target, f"sleep 0.05; echo {number}") for number in range(36)]
        assert [run.result().stdout for run in runs] == [f"{number}\n".encode() for number in range(36)]


def test_real_keys_are_checked_on_both_sides(connector: Connector, sshd: Sshd) -> None:
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        _, other = key_pair(kind)
        with pytest.raises(HostKeyMismatchError) as caught:
            connector.run(replace(sshd.target, host_key=other), "true")
        assert (caught.value.pinned, caught.value.presented) == (fingerprint(other), sshd.target.fingerprint)
    with pytest.raises(AuthenticationError, match="offered: the private key"):
        connector.run(replace(sshd.target, private_key=key_pair()[0]), "true")
    assert connector.host_keys(LOOPBACK, sshd.target.port) == (sshd.target.host_key,)


def test_a_jump_over_a_real_sshd(connector: Connector, sshd: Sshd) -> None:
    through = replace(sshd.target, proxy=sshd.target)
    assert connector.run(through, "echo $SSH_CONNECTION | cut -d' ' -f4").stdout.decode() == f"{sshd.target.port}\n"


def test_a_real_connection_lost_in_the_middle(connector: Connector, sshd: Sshd) -> None:
    with pytest.raises(ConnectionLostError, match="what it did there is not known"):
        connector.run(sshd.target, "echo begun; sleep 20", on_line=lambda _stream, _line: sshd.kill_sessions())
    assert connector.run(sshd.target, "echo after").stdout == b"after\n"


def test_a_real_command_that_is_cancelled(
    connector: Connector, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An sshd passes signals on, except in sessions of root: there its end is not known."""
    monkeypatch.setattr(channel, "GRACE_SECONDS", 1.0)
    cancelled = threading.Event()
    waiting = "i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done"
    command = f"trap 'touch {tmp_path}/cleaned; exit 7' INT; echo ready; {waiting}"
    began = time.monotonic()
    try:
        done = connector.run(sshd.target, command, on_line=lambda _stream, _line: cancelled.set(), cancelled=cancelled)
    except ConnectionLostError as error:
        assert os.geteuid() == 0
        assert "cancelled, and it did not end within 1 s" in str(error)  # noqa: PT017 - which of two is the sshd's
    else:
        assert done.status == 7
        assert (tmp_path / "cleaned").exists()
    assert time.monotonic() - began < 30
