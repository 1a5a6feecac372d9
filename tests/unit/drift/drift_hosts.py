"""Steps of the tests' own, and what asks hosts about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ssh_server import SshHost, key_pair

from components.addresses import parse_address
from components.nodes import steps
from components.nodes.plan import SshTarget
from components.nodes.steps import PlainValue, Step
from labctl.drift.findings import HostFinding, Standing
from labctl.drift.questions import Question
from labctl.drift.survey import AskedHost, survey
from labctl.ssh import Connector, Target

USER_KEY, USER_PUBLIC = key_pair()
SCRIPTS: Mapping[str, str] = {
    "file": """desired() { want_file "$WANTED_PATH" 0644 <<<"$WANTED_TEXT"; result seen yes; }
undo() { want_absent "$WANTED_PATH"; }
""",
    "broken": """desired() { changed 'something first'; false; }
undo() { :; }
""",
    "refusing": """desired() { refuse 'the mirror is not whole'; }
undo() { :; }
""",
    "babbling": """desired() { printf 'hello\\n' >&"$OUTPUT"; }
undo() { :; }
""",
    "leaking": """desired() { changed "token $TOKEN"; fail "cannot log in with $TOKEN"; }
undo() { :; }
""",
    "stuck": """desired() { sleep 60; }
undo() { :; }
""",
    "dying": """desired() { kill -KILL $$; sleep 1; }
undo() { :; }
""",
    "cursor": """desired() { changed $'file /etc/\\e[2Jx'; }
undo() { :; }
""",
}
"""What steps do, by name of their script."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Makes questions for one host, its state beneath a folder of its own, and asks them."""

    folder: Path
    connector: Connector

    def question(self, script: str, host: str = "worker-1", **values: PlainValue) -> Question:
        """A step of that script, composed as for a real host but for the folders it looks into."""
        step = Step(name=script, subject=host, host=host, values=values)
        state = self.folder / host
        state.mkdir(exist_ok=True)
        places: dict[str, PlainValue] = {
            "STEP_HOST": host,
            "RECONVERGE": 0,
            "STATE_FOLDER": str(state / "state"),
            "CACHE_FOLDER": str(state / "cache"),
            "LOCK_FILE": str(state / "lock"),
        }
        text = steps.compose_whole(step, {**places, **values})
        return Question(step=step, standing=Standing.APPLIED, text=text)

    def asked(self, server: SshHost, *questions: Question, name: str = "worker-1", **changes: object) -> AskedHost:
        """That host with those questions, reached as root by the right key."""
        user, password = str(changes.get("user", "root")), changes.get("sudo_password")
        target = partial(
            Target,
            host="127.0.0.1",
            port=server.port,
            user=user,
            host_key=str(changes.get("host_key", server.public_key)),
            private_key=USER_KEY,
            dial_retries=0,
        )
        return AskedHost(
            name=name,
            ssh=SshTarget(
                host=name, address=parse_address("127.0.0.1"), port=server.port, user=user, host_key=server.public_key
            ),
            reach=target,
            questions=questions,
            sudo_password=None if password is None else str(password),
        )

    def survey(self, *hosts: AskedHost, hide: Callable[[str], str] = str) -> tuple[HostFinding, ...]:
        """What is found on them."""
        return survey(hosts, self.connector, hide=hide)
