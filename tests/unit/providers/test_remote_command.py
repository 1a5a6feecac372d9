"""Commands of other machines as resources: as the official provider has them, and stricter about the host."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest
from ssh_server import LOOPBACK, SshHost, key_pair, serving

from labctl.engine.providers.base import Context, Diff, Provider, ProviderError, Resource, UnfinishedError
from labctl.engine.providers.command import CommandFactory
from labctl.engine.providers.command.exceptions import (
    CommandFailedError,
    MalformedHostKeyInputError,
    NotStartedError,
    UnknownOutcomeError,
    UnpinnedHostError,
)
from labctl.engine.providers.properties import InvalidPropertyError, MissingPropertyError, UnknownPropertyError
from labctl.graph.differences import Change
from labctl.graph.values import UNKNOWN, Inputs, Secret, Value, as_mapping, reveal
from labctl.ssh import channel

REMOTE = "command:remote:Command"
URN = f"urn:pulumi:dev::lab::{REMOTE}::cmd"
USER_KEY, USER_PUBLIC = key_pair()
PASSPHRASE = "canary-passphrase"
HOST_PUBLIC = key_pair()[1]


@dataclass
class Bench:
    """A provider, a host that it reaches, and what was reported."""

    host: SshHost
    provider: Provider
    lines: list[str] = field(default_factory=list[str])

    def connection(self, **changes: Value) -> Inputs:
        known: Inputs = {
            "host": LOOPBACK,
            "port": self.host.port,
            "hostKey": self.host.public_key,
            "privateKey": Secret(USER_KEY),
            "dialErrorLimit": 0,
        }
        return known | changes

    def checked(self, inputs: Inputs) -> Inputs:
        given: Inputs = {"connection": self.connection()}
        return self.provider.check(Resource(urn=URN, type=REMOTE, inputs=given | inputs), None)

    def resource(self, inputs: Inputs, **outputs: Value) -> Resource:
        checked = self.checked(inputs)
        return Resource(urn=URN, type=REMOTE, id="cmd00000000", inputs=checked, outputs={**checked, **outputs})

    def context(self, *, preview: bool = False) -> Context:
        return Context(report=self.lines.append, preview=preview)

    def create(self, inputs: Inputs, context: Context | None = None) -> Inputs:
        return self.provider.create(self.resource(inputs), context or self.context()).outputs

    def failure(self, inputs: Inputs, context: Context | None = None) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            self.create(inputs, context)
        assert caught.value.__cause__ is None
        return caught.value


@pytest.fixture
def bench() -> Generator[Bench]:
    factory = CommandFactory()
    with serving(SshHost(authorized=(USER_PUBLIC,))) as host:
        yield Bench(host, factory.configure({}))
        factory.close()


def test_stored_as_the_official_provider_stores_it(bench: Bench) -> None:
    inputs: Inputs = {"create": "echo made; echo odd >&2", "delete": "true", "triggers": ["a"], "stdin": Secret("hush")}
    resource = bench.resource(inputs)
    made = bench.provider.create(resource, Context())
    assert re.fullmatch(r"cmd[0-9a-f]{8}", made.id)
    assert made.outputs == resource.inputs | {"stdout": "made", "stderr": "odd"}
    assert made.outputs["connection"] == Secret(bench.connection(perDialTimeout=15, user="root"))
    assert bench.provider.create(resource, Context()).id != made.id


@pytest.mark.parametrize(
    ("inputs", "stdout"),
    [
        ({"create": r"printf 'a\n\n'"}, "a\n"),
        ({"create": "cat", "stdin": "line 1\nline 2"}, "line 1\nline 2"),
        ({"create": "cat"}, ""),
        ({"create": Secret("echo sealed")}, "sealed"),
        ({"create": r"printf '\377'"}, "\N{REPLACEMENT CHARACTER}"),
        ({"create": "bash -s apply", "stdin": 'echo "$1 $0"'}, "apply bash"),
    ],
)
def test_what_a_command_is_given_and_says(bench: Bench, inputs: Inputs, stdout: str) -> None:
    assert bench.create(inputs)["stdout"] == stdout


def test_many_resources_share_a_connection(bench: Bench) -> None:
    for number in range(5):
        assert bench.create({"create": f"echo {number}"})["stdout"] == str(number)
    assert len(bench.host.connections) == 1


def test_no_create_is_no_connection(bench: Bench) -> None:
    only_delete: Inputs = {"delete": "echo deleted"}
    made = bench.create(only_delete)
    assert (made["stdout"], made["stderr"]) == ("", "")
    assert bench.host.connections == []
    bench.provider.delete(bench.resource(only_delete), Context())
    assert bench.host.commands == ["echo deleted"]
    bench.provider.delete(bench.resource({"create": "true"}), Context())
    assert bench.host.commands == ["echo deleted"]


@pytest.mark.parametrize(
    ("inputs", "ran"),
    [({"create": "echo c", "update": "echo u"}, "u"), ({"create": "echo c"}, "c"), ({"delete": "exit 1"}, "before")],
)
def test_update_runs_update_or_else_create(bench: Bench, inputs: Inputs, ran: str) -> None:
    old = bench.resource({"create": "echo old"}, stdout="before", stderr="")
    updated = bench.provider.update(old, bench.checked(inputs), Context())
    assert (updated.id, updated.outputs["stdout"]) == (old.id, ran)


def test_preview_reaches_nobody_and_takes_what_is_not_known(bench: Bench) -> None:
    unknown: Inputs = {"connection": Secret(UNKNOWN), "create": UNKNOWN, "stdin": UNKNOWN}
    assert bench.checked(unknown) == unknown
    for connection in (
        UNKNOWN,
        bench.connection(host=UNKNOWN, hostKey=UNKNOWN, port=UNKNOWN),
        bench.connection(proxy=UNKNOWN),
        bench.connection(proxy={"host": UNKNOWN, "hostKey": UNKNOWN}),
    ):
        resource = bench.resource({"connection": connection, "create": "exit 1", "update": "exit 1"})
        preview = bench.context(preview=True)
        expected = resource.inputs | {"stdout": UNKNOWN, "stderr": UNKNOWN}
        assert bench.provider.create(resource, preview).outputs == expected
        assert bench.provider.update(resource, resource.inputs, preview).outputs == expected
    assert bench.host.connections == []


def test_diff_is_of_what_is_inside_the_sealed_connection(bench: Bench) -> None:
    old = bench.resource({"create": "a", "triggers": ["t"]})
    assert bench.provider.diff(old, bench.checked({"create": "a", "triggers": ["t"]}), Context()) == Diff()
    changed = bench.checked({"connection": bench.connection(port=1), "create": "a", "triggers": ["u"], "stdin": "x"})
    assert bench.provider.diff(old, changed, Context()).changes == {
        "connection.port": Change.UPDATE,
        "stdin": Change.ADD,
        "triggers[0]": Change.UPDATE,
    }


# -- the connection ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"hostKey": None}, UnpinnedHostError, r"needs connection\.hostKey: without it 127\.0\.0\.1 would not be"),
        ({"hostKey": ""}, UnpinnedHostError, r"ssh_host_ed25519_key\.pub on that host"),
        ({"hostKey": "w01 ssh-ed25519"}, MalformedHostKeyInputError, r"connection\.hostKey: the host key given for"),
        ({"proxy": {"host": "jump"}}, UnpinnedHostError, r"needs connection\.proxy\.hostKey: without it jump would"),
        (
            {"proxy": {"hostKey": HOST_PUBLIC}},
            MissingPropertyError,
            r"command:remote:Command needs connection\.proxy\.host$",
        ),
        ({"proxy": "jump"}, InvalidPropertyError, r"connection\.proxy must be an object"),
        (
            {"proxy": {"host": "a", "hostKey": HOST_PUBLIC, "proxy": {"host": "b"}}},
            UnknownPropertyError,
            r"connection\.proxy has no property proxy",
        ),
        ({"host": None}, MissingPropertyError, r"needs connection\.host$"),
        ({"private_key": "x"}, UnknownPropertyError, r"did you mean privateKey\?"),
        ({"port": "22"}, InvalidPropertyError, "port must be a whole number"),
        ({"port": 0}, InvalidPropertyError, r"connection\.port must be 1 to 65535"),
        ({"dialErrorLimit": -2}, InvalidPropertyError, r"connection\.dialErrorLimit must be 0 or more, or -1"),
        ({"perDialTimeout": -1}, InvalidPropertyError, r"connection\.perDialTimeout must be a number of seconds"),
        ({"privateKey": Secret(1)}, InvalidPropertyError, "privateKey must be a string"),
    ],
)
def test_connections_that_are_refused(bench: Bench, changes: Inputs, error: type[ProviderError], message: str) -> None:
    for connection in (bench.connection(**changes), Secret(bench.connection(**changes))):
        with pytest.raises(error, match=message):
            bench.checked({"connection": connection, "create": "true"})
    assert bench.host.connections == []


def test_no_connection_at_all_is_refused(bench: Bench) -> None:
    with pytest.raises(MissingPropertyError, match=r"needs connection$"):
        bench.checked({"connection": None})
    with pytest.raises(InvalidPropertyError, match="connection must be an object"):
        bench.checked({"connection": "host"})


def test_a_state_of_the_official_engine_without_a_host_key_reaches_nobody(bench: Bench) -> None:
    connection = {key: value for key, value in bench.connection().items() if key != "hostKey"}
    resource = Resource(urn=URN, type=REMOTE, id="i", inputs={"connection": Secret(connection), "delete": "true"})
    with pytest.raises(UnpinnedHostError):
        bench.provider.delete(resource, Context())
    assert bench.host.connections == []


def test_another_host_is_sent_nothing(bench: Bench) -> None:
    _, other = key_pair()
    error = bench.failure({"connection": bench.connection(hostKey=other), "create": "true"})
    assert isinstance(error, NotStartedError)
    assert re.search(r"its key should be SHA256:\S+ and it shows SHA256:", str(error))
    assert bench.host.users == []


def test_ways_in(bench: Bench) -> None:
    bench.host.password = "canary-word"
    private, public = key_pair(passphrase=PASSPHRASE)
    with serving(SshHost(authorized=(USER_PUBLIC, public), forwarding=True)) as jump:
        locked: Inputs = {"privateKey": private, "privateKeyPassword": PASSPHRASE}
        proxy: Inputs = {"host": LOOPBACK, "port": jump.port, "hostKey": jump.public_key, "user": "hop", **locked}
        changes: Inputs = {"proxy": proxy, "privateKey": None, "password": Secret("canary-word"), "user": "lab"}
        assert bench.create({"connection": bench.connection(**changes), "create": "echo in"})["stdout"] == "in"
        assert (jump.users, jump.forwarded, bench.host.users) == (["hop"], [(LOOPBACK, bench.host.port)], ["lab"])


def test_the_agent_of_the_person_is_asked_when_nothing_else_is_given(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/no/agent")
    assert bench.create({"create": "echo in"})["stdout"] == "in"
    bare: Inputs = {"connection": bench.connection(privateKey=None), "create": "true"}
    assert "the SSH agent at /no/agent does not answer" in str(bench.failure(bare))
    named: Inputs = {"connection": bench.connection(agentSocketPath="/no/other"), "create": "true"}
    assert "the SSH agent at /no/other does not answer" in str(bench.failure(named))


def test_a_host_that_is_down_is_told(bench: Bench) -> None:
    bench.host.close()
    try:
        error = bench.failure({"connection": bench.connection(dialErrorLimit=1), "create": "echo made"})
    finally:
        bench.host.open()
    wanted = rf"root@127\.0\.0\.1:{bench.host.port} cannot be reached \(2 attempts\): connection refused: running "
    assert re.fullmatch(wanted + '"echo made"', str(error))
    assert not isinstance(error, UnfinishedError)


# -- environment ------------------------------------------------------------------------------------------------------


def test_environment_that_the_host_takes(bench: Bench) -> None:
    bench.host.accepted_variables = frozenset({"WHERE", "PULUMI_COMMAND_STDOUT"})
    show = 'echo "$WHERE ${PULUMI_COMMAND_STDOUT-unset} ${PULUMI_COMMAND_STDERR-unset}"'
    old = bench.resource({}, stdout=Secret("one"), stderr="")
    inputs: Inputs = {"create": show, "environment": {"WHERE": Secret("here")}}
    updated = bench.provider.update(old, bench.checked(inputs), bench.context())
    assert updated.outputs["stdout"] == "here one unset"
    inputs["addPreviousOutputInEnv"] = False
    assert bench.provider.update(old, bench.checked(inputs), Context()).outputs["stdout"] == "here unset unset"


def test_environment_that_the_host_does_not_take_is_a_failure(bench: Bench) -> None:
    error = bench.failure({"create": "true", "environment": {"TOKEN": Secret("canary")}})
    assert isinstance(error, NotStartedError)
    assert "does not take the environment variable TOKEN" in str(error)
    assert "canary" not in str(error)
    assert bench.host.commands == []


def test_previous_output_that_the_host_does_not_take_is_a_warning(bench: Bench) -> None:
    old = bench.resource({}, stdout="one", stderr="")
    updated = bench.provider.update(old, bench.checked({"create": "echo $PULUMI_COMMAND_STDOUT"}), bench.context())
    assert updated.outputs["stdout"] == ""
    assert bench.lines[0].startswith("warning: the host does not take PULUMI_COMMAND_STDOUT (sshd_config: AcceptEnv)")
    assert bench.lines[1:] == [""]


# -- failures and secrets ---------------------------------------------------------------------------------------------


def test_failure_is_told_as_the_official_provider_tells_it(bench: Bench) -> None:
    command = "echo partial; echo to-stderr >&2; exit 3"
    error = bench.failure({"create": command})
    assert isinstance(error, CommandFailedError)
    assert str(error) == f'Process exited with status 3: running "{command}":\npartial\nto-stderr'
    killed = str(bench.failure({"create": "kill -9 $$"}))
    assert killed == 'Process exited with status 137 from signal KILL: running "kill -9 $$":'


def test_secrets_are_hidden_in_messages_and_progress(bench: Bench) -> None:
    private, public = key_pair(passphrase=PASSPHRASE)
    with serving(SshHost(authorized=(public,))) as host:
        reached: Inputs = {"port": host.port, "hostKey": host.public_key, "password": "canary-unused"}
        locked: Inputs = {"privateKey": private, "privateKeyPassword": PASSPHRASE}  # plain: the whole is sealed
        inputs: Inputs = {
            "connection": bench.connection(**reached, **locked),
            "create": f"echo root at {LOOPBACK}; cat; echo canary-unused {PASSPHRASE} >&2; exit 1",
            "stdin": Secret(f"canary-one\ncanary-two\n{private}"),
        }
        error = str(bench.failure(inputs))
    assert "canary" not in error + "".join(bench.lines)
    assert not any(line in error + "".join(bench.lines) for line in private.splitlines())
    assert error.endswith(f"\nroot at {LOOPBACK}\n[secret][secret] [secret]")
    assert f"root at {LOOPBACK}" in bench.lines


@pytest.mark.parametrize(
    ("logging", "shown"),
    [
        (None, ["err", "out"]),
        ("stdoutAndStderr", ["err", "out"]),
        ("stdout", ["out"]),
        ("stderr", ["err"]),
        ("none", []),
    ],
)
def test_logging_chooses_what_is_shown(bench: Bench, logging: str | None, shown: list[str]) -> None:
    made = bench.create({"create": "echo out; echo err >&2", "logging": logging})
    assert sorted(bench.lines) == shown
    assert (made["stdout"], made["stderr"]) == ("out", "err")


def test_a_connection_lost_in_the_middle_is_an_operation_whose_end_is_not_known(bench: Bench) -> None:
    bench.host.on_command = lambda _command: bench.host.connections[0].abort()
    error = bench.failure({"create": Secret("echo canary"), "stdin": Secret("canary")})
    assert isinstance(error, UnknownOutcomeError)
    assert isinstance(error, UnfinishedError)
    assert re.search(r'what it did there is not known; the next run runs it again: running "\[secret\]"$', str(error))


def test_cancelled_and_out_of_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    inputs: Inputs = {"create": "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done"}
    stopped = bench.failure(inputs, Context(cancelled=cancelled, report=lambda _line: cancelled.set()))
    assert str(stopped).startswith('cancelled: running "trap')
    late = bench.failure({"create": "exec sleep 30"}, Context(timeout_seconds=0.3))
    assert str(late) == 'timed out after 0.3 s: running "exec sleep 30":'
    monkeypatch.setattr(channel, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(channel, "KILL_SECONDS", 0.1)
    bench.host.signals = False
    assert isinstance(bench.failure({"create": "sleep 30"}, Context(timeout_seconds=0.3)), UnfinishedError)


def test_what_a_cut_off_creation_left_is_not_guessed(bench: Bench) -> None:
    """An empty id says that nothing is recorded: the engine then creates it again."""
    cut_off = Resource(urn=URN, type=REMOTE, inputs=bench.checked({"create": "true"}))
    read = bench.provider.read(cut_off, Context())
    assert read is not None
    assert read.id == ""
    assert as_mapping(reveal(read.inputs["connection"] if read.inputs else None))["host"] == LOOPBACK
