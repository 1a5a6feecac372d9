"""Commands over SSH: what they are given and say, how they end, and how their connections are shared and lost."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ssh_server import SshHost, serving

from labctl.ssh import (
    CommandRefusedError,
    ConnectionLostError,
    Connector,
    Ending,
    StoppedError,
    Stream,
    Target,
    UnreachableError,
    VariableRefusedError,
    channel,
    connections,
    dialling,
)


class Heard:
    """What a thread was told, and in which thread."""

    def __init__(self) -> None:
        self.lines: list[tuple[Stream, str]] = []
        self.moments: dict[str, float] = {}
        self.threads: set[int] = set()
        self.first = threading.Event()

    def __call__(self, stream: Stream, line: str) -> None:
        self.lines.append((stream, line))
        self.moments[line] = time.monotonic()
        self.threads.add(threading.get_ident())
        self.first.set()

    def then(self, action: Callable[[], None]) -> Callable[[Stream, str], None]:
        """Return a listener that does something after each line, too."""

        def listen(stream: Stream, line: str) -> None:
            self(stream, line)
            action()

        return listen


def test_input_output_and_status(connector: Connector, target: Target) -> None:
    heard = Heard()
    done = connector.run(target, "cat; printf odd >&2; exit 3", stdin=b"one\ntwo\n", on_line=heard)
    assert (done.status, done.ending, done.stdout, done.stderr) == (3, Ending.ITSELF, b"one\ntwo\n", b"odd")
    assert sorted(done.both) == sorted(b"one\ntwo\nodd")
    assert sorted(heard.lines, key=str) == [(Stream.STDERR, "odd"), (Stream.STDOUT, "one"), (Stream.STDOUT, "two")]
    assert heard.threads == {threading.get_ident()}


def test_a_command_without_input_has_none(connector: Connector, target: Target) -> None:
    assert connector.run(target, "cat; echo end").stdout == b"end\n"


def test_a_signal_is_a_negative_status(connector: Connector, target: Target) -> None:
    assert connector.run(target, "kill -TERM $$").status == -signal.SIGTERM


def test_what_is_no_text_passes_through(connector: Connector, target: Target) -> None:
    heard = Heard()
    everything = bytes(range(256))
    done = connector.run(target, "cat", stdin=everything, on_line=heard)
    assert done.stdout == everything
    assert any("\N{REPLACEMENT CHARACTER}" in line for _, line in heard.lines)


def test_large_input_and_output_pass_through(connector: Connector, target: Target) -> None:
    given = b"0123456789abcdef" * 65536
    done = connector.run(target, "tee /dev/stderr", stdin=given)
    assert done.stdout == done.stderr == given
    assert len(done.both) == 2 * len(given)


def test_input_nobody_reads_is_no_failure(connector: Connector, target: Target) -> None:
    done = connector.run(target, "exec <&-; echo done", stdin=b"x" * 1_048_576)
    assert (done.status, done.stdout) == (0, b"done\n")


def test_lines_come_as_they_are_said(connector: Connector, target: Target) -> None:
    heard = Heard()
    connector.run(target, "echo first; sleep 0.5; printf last", on_line=heard)
    assert heard.moments["last"] - heard.moments["first"] > 0.3


def test_a_listener_that_fails_ends_the_command(connector: Connector, host: SshHost, target: Target) -> None:
    def fail(_stream: Stream, line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="first"):
        connector.run(target, "echo first; sleep 30", on_line=fail)
    assert connector.run(target, "echo after").stdout == b"after\n"
    assert len(host.connections) == 1


def test_a_refused_command_is_told(connector: Connector, target: Target) -> None:
    with pytest.raises(CommandRefusedError, match=r"lab@127\.0\.0\.1:[0-9]+ starts no command"):
        connector.run(target, "refused")


# -- environment ----------------------------------------------------------------------------------------------------


def test_variables_that_the_host_takes(connector: Connector, host: SshHost, target: Target) -> None:
    host.accepted_variables = frozenset({"A", "B"})
    refused: list[str] = []
    done = connector.run(
        target,
        'echo "$A $B ${C-unset}"',
        environment={"A": "a b"},
        hints={"B": "2", "C": "3", "A": "not this"},
        on_refused=refused.append,
    )
    assert (done.stdout, refused) == (b"a b 2 unset\n", ["C"])


def test_a_variable_that_the_host_does_not_take_starts_nothing(
    connector: Connector, host: SshHost, target: Target
) -> None:
    with pytest.raises(
        VariableRefusedError, match=r"does not take the environment variable TOKEN.*AcceptEnv"
    ) as caught:
        connector.run(target, "echo $TOKEN", environment={"TOKEN": "canary"})
    assert "canary" not in str(caught.value)
    assert host.commands == []


# -- one connection for many commands ---------------------------------------------------------------------------------


def test_commands_of_many_threads_share_a_connection(connector: Connector, host: SshHost, target: Target) -> None:
    def one(number: int) -> bytes:
        return connector.run(target, "sleep 0.02; cat", stdin=str(number).encode()).stdout

    with ThreadPoolExecutor(max_workers=40) as pool:
        said = list(pool.map(one, range(120)))
    assert said == [str(number).encode() for number in range(120)]
    assert len(host.connections) == 1
    assert host.most_sessions > 2


def test_a_host_that_allows_fewer_sessions_is_taken_at_its_word(
    connector: Connector, host: SshHost, target: Target
) -> None:
    host.max_sessions = 2
    with ThreadPoolExecutor(max_workers=8) as pool:
        runs = [pool.submit(connector.run, target, "sleep 0.05") for _ in range(16)]
    assert [run.result().status for run in runs] == [0] * 16
    assert (len(host.connections), host.most_sessions) == (1, 2)


def test_a_host_that_allows_no_session_is_told(connector: Connector, host: SshHost, target: Target) -> None:
    host.max_sessions = 0
    with pytest.raises(CommandRefusedError, match="opens no session"):
        connector.run(target, "true")


def test_another_user_is_another_connection(connector: Connector, host: SshHost, target: Target) -> None:
    for user in ("lab", "root", "lab"):
        connector.run(replace(target, user=user), "true")
    assert host.users == ["lab", "root"]


def test_a_connection_that_died_between_two_commands_is_made_again(
    connector: Connector, host: SshHost, target: Target
) -> None:
    assert connector.run(target, "echo 1").stdout == b"1\n"
    host.drop()
    assert connector.run(target, "echo 2").stdout == b"2\n"
    assert (host.commands, len(host.connections)) == (["echo 1", "echo 2"], 2)


def test_connections_are_closed_and_may_be_made_again(connector: Connector, host: SshHost, target: Target) -> None:
    connector.run(target, "true")
    connector.close()
    _eventually(host.connections[0].is_closed)
    assert not [thread for thread in threading.enumerate() if thread.name == "ssh"]
    assert connector.run(target, "echo again").stdout == b"again\n"


def test_too_many_idle_connections_are_closed(
    connector: Connector, host: SshHost, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_CONNECTIONS", 2)
    for number in range(5):
        connector.run(replace(target, user=f"user{number}"), "true")
    _eventually(lambda: [connection.is_closed() for connection in host.connections] == [True] * 3 + [False] * 2)


# -- lost, cancelled, out of time -------------------------------------------------------------------------------------


def test_a_connection_lost_in_the_middle_is_told_and_nothing_is_run_twice(
    connector: Connector, host: SshHost, target: Target
) -> None:
    heard = Heard()
    with pytest.raises(ConnectionLostError, match=r"lost sight of.*what it did there is not known") as caught:
        connector.run(target, "echo begun; sleep 30", on_line=heard.then(host.drop))
    assert heard.lines == [(Stream.STDOUT, "begun")]
    assert caught.value.label == target.label
    assert host.commands == ["echo begun; sleep 30"]
    assert connector.run(target, "echo after").stdout == b"after\n"


def test_a_connection_lost_while_the_command_is_asked_for_may_have_started_it(
    connector: Connector, host: SshHost, target: Target
) -> None:
    connector.run(target, "true")
    host.on_command = lambda _command: host.connections[0].abort()
    with pytest.raises(ConnectionLostError):
        connector.run(target, "echo twice?")
    assert host.commands == ["true", "echo twice?"]


def test_a_host_that_answers_nothing_any_more_is_noticed(
    connector: Connector, host: SshHost, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialling, "KEEPALIVE_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(ConnectionLostError, match="not responding to keepalive"):
        connector.run(target, "echo begun; sleep 30", on_line=Heard().then(lambda: host.freeze(3)))
    assert time.monotonic() - began > 0.6


def test_a_cancelled_command_is_asked_to_stop_and_may_clean_up(
    connector: Connector, target: Target, tmp_path: Path
) -> None:
    cancelled = threading.Event()
    done = connector.run(
        target,
        f"trap 'touch {tmp_path}/cleaned; exit 7' INT; echo ready; while :; do sleep 0.05; done",
        on_line=Heard().then(cancelled.set),
        cancelled=cancelled,
    )
    assert (done.status, done.ending) == (7, Ending.CANCELLED)
    assert (tmp_path / "cleaned").exists()


def test_a_command_that_will_not_stop_is_killed(
    connector: Connector, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "GRACE_SECONDS", 0.3)
    done = connector.run(target, "trap '' INT; while :; do sleep 0.05; done", timeout_seconds=0.3)
    assert (done.status, done.ending) == (-signal.SIGKILL, Ending.TIMED_OUT)


def test_a_command_that_no_signal_reaches_is_given_up_and_its_end_is_not_known(
    connector: Connector, host: SshHost, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(channel, "KILL_SECONDS", 0.2)
    monkeypatch.setattr(host, "signals", False)  # as sshd for root's sessions
    with pytest.raises(ConnectionLostError, match=r"timed out, and it did not end within 0.2 s"):
        connector.run(target, "sleep 30", timeout_seconds=0.2)
    assert connector.run(target, "echo after").stdout == b"after\n"


def test_time_limit(connector: Connector, target: Target) -> None:
    began = time.monotonic()
    done = connector.run(target, "exec sleep 30", timeout_seconds=0.3)
    assert (done.ending, done.status) == (Ending.TIMED_OUT, -signal.SIGINT)
    assert time.monotonic() - began < 20


def test_time_is_over_before_it_is_connected(connector: Connector, host: SshHost, target: Target) -> None:
    host.freeze(1.5)
    with pytest.raises(StoppedError, match=r"timed out while connecting to lab@127.0.0.1:\d+; nothing was run there"):
        connector.run(target, "true", timeout_seconds=0.2)
    assert host.commands == []


def test_time_is_over_before_there_is_room(connector: Connector, host: SshHost, target: Target) -> None:
    host.max_sessions = 1
    heard = Heard()
    with ThreadPoolExecutor(max_workers=2) as pool:
        first = pool.submit(connector.run, target, "echo begun; sleep 1.5", on_line=heard)
        assert heard.first.wait(10)
        began = time.monotonic()
        for _ in range(2):  # found out that there is none, and told so
            with pytest.raises(StoppedError, match="timed out"):
                connector.run(target, "true", timeout_seconds=0.2)
        assert not first.done() or time.monotonic() - began > 1
        assert first.result().status == 0


def test_cancelled_while_waiting_for_a_host(connector: Connector, host: SshHost, target: Target) -> None:
    host.close()
    cancelled = threading.Event()
    timer = threading.Timer(0.3, cancelled.set)
    timer.start()
    try:
        with pytest.raises(StoppedError, match="cancelled while connecting"):
            connector.run(replace(target, dial_retries=None), "true", cancelled=cancelled)
    finally:
        timer.join()
        host.open()


def test_closing_cuts_off_what_runs(connector: Connector, target: Target) -> None:
    heard = Heard()
    with ThreadPoolExecutor(max_workers=1) as pool:
        running = pool.submit(connector.run, target, "echo begun; sleep 30", on_line=heard)
        assert heard.first.wait(10)
        connector.close()
        with pytest.raises(ConnectionLostError):
            running.result(timeout=10)


# -- connecting -------------------------------------------------------------------------------------------------------


def test_a_host_that_comes_up_later_is_waited_for(connector: Connector, host: SshHost, target: Target) -> None:
    host.close()
    timer = threading.Timer(0.5, host.open)
    timer.start()
    try:
        assert connector.run(replace(target, dial_retries=20), "echo up").stdout == b"up\n"
    finally:
        timer.join()


def test_a_host_that_stays_down_is_told_after_the_attempts_allowed(
    connector: Connector, host: SshHost, target: Target
) -> None:
    host.close()
    try:
        with pytest.raises(UnreachableError, match=r"cannot be reached \(3 attempts\): connection refused"):
            connector.run(replace(target, dial_retries=2), "true")
    finally:
        host.open()


def test_those_who_wait_for_a_host_share_the_attempts(connector: Connector, host: SshHost, target: Target) -> None:
    host.close()
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(max_workers=16) as pool:
            runs = [pool.submit(connector.run, replace(target, dial_retries=4), "true") for _ in range(16)]
            assert {type(run.exception()) for run in runs} == {UnreachableError}
    finally:
        host.open()
    assert time.monotonic() - began < 8  # one round of pauses takes 0.8 s


def test_an_attempt_has_its_time(connector: Connector, host: SshHost, target: Target) -> None:
    host.freeze(1.0)
    with pytest.raises(UnreachableError, match=r"\(1 attempt\): no answer within 0.3 s"):
        connector.run(replace(target, dial_timeout_seconds=0.3), "true")


def test_a_name_that_nobody_knows_is_not_asked_for_again(
    connector: Connector, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_arguments: object, **_options: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnreachableError, match=r"lab@no-such-host\.invalid:\d+ cannot be reached \(1 attempt\)"):
        connector.run(replace(target, host="no-such-host.invalid", dial_retries=50), "true", timeout_seconds=20)


def test_commands_and_variables_are_not_logged(
    connector: Connector, host: SshHost, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    host.accepted_variables = frozenset({"TOKEN"})
    with caplog.at_level(logging.DEBUG):
        connector.run(target, "echo canary-command", stdin=b"canary-input", environment={"TOKEN": "canary-value"})
    assert "canary" not in caplog.text


def test_a_jump_host(
    connector: Connector, host: SshHost, target: Target, target_of: Callable[[SshHost], Target]
) -> None:
    with serving(SshHost(authorized=host.authorized, forwarding=True)) as jump:
        through = replace(target, proxy=target_of(jump))
        assert [connector.run(through, "echo $0; echo there").stdout for _ in range(2)] == [b"/bin/sh\nthere\n"] * 2
        assert jump.forwarded == [(target.host, host.port)]
        assert (jump.commands, len(jump.connections), len(host.connections)) == ([], 1, 1)
        jump.drop()
        assert connector.run(through, "echo again").stdout == b"again\n"
        assert (len(jump.connections), len(host.connections)) == (2, 2)
        connector.close()


def test_a_jump_host_that_lets_nobody_through(
    connector: Connector, host: SshHost, target: Target, target_of: Callable[[SshHost], Target]
) -> None:
    with serving(SshHost(authorized=host.authorized)) as jump:
        with pytest.raises(UnreachableError, match=r"\(1 attempt\)"):
            connector.run(replace(target, proxy=target_of(jump), dial_retries=5), "true")
        connector.close()


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
