"""The storage host, asked and told over SSH: one text with the scripts and what is wanted, its answer line by line."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from components.nodes.shells import PASSWORD_END, shell
from components.nodes.steps import read_script
from components.storage.backup_plan import RESTORE_SCRIPTS
from labctl.hosts.text import shown
from labctl.ssh import Ending, SshError, Stream

from .copies import Found, read_found
from .errors import BusyHostError, HostRefusedError, HostSilentError, RestoreFailedError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from components.nodes.plan import SshTarget
    from labctl.hosts import LabHosts
    from labctl.ssh import Connector, Target

    from .copies import Copy

__all__ = ["Order", "StorageHost", "restore_text", "storage_host"]

LIST_SECONDS: Final = 600.0
"""For the list of copies: a repository in a bucket is opened in it, and restic tries again for minutes."""
BUSY: Final = 75
"""Exit status of a host on which another run is under way (sysexits(3): EX_TEMPFAIL)."""
REFUSED: Final = 65
"""Exit status of a refusal (sysexits(3): EX_DATAERR)."""
NOT_ALLOWED: Final = 77
"""Exit status of a sudo that does not take the password (sysexits(3): EX_NOPERM)."""
_VALUES: Final[Mapping[str, str]] = {
    "WHAT": "list",
    "DATASET": "",
    "SUB_PATH": "",
    "SOURCE": "",
    "COPY": "",
    "LABEL": "",
    "IN_PLACE": "false",
    "IS_DATABASE": "false",
    "DRY_RUN": "false",
}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be restored, and how."""

    dataset: str | None
    """The file system; None: every one of the copy that is not there or has no files."""
    copy: Copy
    sub_path: str = ""
    """Within it; empty: all of it."""
    in_place: bool = False
    is_database: bool = False
    dry_run: bool = False

    def values(self) -> dict[str, str]:
        """Return the values the scripts read."""
        return {
            "WHAT": "everything" if self.dataset is None else "one",
            "DATASET": self.dataset or "",
            "SUB_PATH": self.sub_path,
            "SOURCE": self.copy.source,
            "COPY": self.copy.id,
            "LABEL": self.copy.label,
            "IN_PLACE": _word(self.in_place),
            "IS_DATABASE": _word(self.is_database),
            "DRY_RUN": _word(self.dry_run),
        }


@dataclass(frozen=True, kw_only=True)
class StorageHost:
    """The host whose file systems are restored, and the way to it."""

    name: str
    ssh: SshTarget
    reach: Callable[[], Target]
    """Makes the target; an `SshError` of it is the host's own."""
    connector: Connector
    hide: Callable[[str], str]
    """Takes secrets out of what the host says."""
    sudo_password: str | None = field(default=None, repr=False)

    def found(self, dataset: str, *, cancelled: threading.Event | None = None, seconds: float = LIST_SECONDS) -> Found:
        """Return the copies there are of a file system, within so many seconds.

        Raises
        ------
        HostSilentError, HostRefusedError, RestoreFailedError
            It did not tell.
        """
        records: list[tuple[str, ...]] = []
        self._run({"WHAT": "list", "DATASET": dataset}, records.append, cancelled, seconds)
        return read_found(records)

    def restore(
        self, order: Order, on_record: Callable[[tuple[str, ...]], None], *, cancelled: threading.Event | None = None
    ) -> None:
        """Have the host restore; `on_record` is told of each thing as it is done.

        Raises
        ------
        HostSilentError, HostRefusedError, BusyHostError, RestoreFailedError
            It did not, or not to the end.
        """
        self._run(order.values(), on_record, cancelled, None)

    def _run(
        self,
        values: Mapping[str, str],
        on_record: Callable[[tuple[str, ...]], None],
        cancelled: threading.Event | None,
        seconds: float | None,
    ) -> None:
        said: list[str] = []

        def take(stream: Stream, line: str) -> None:
            if stream is Stream.STDERR:
                said.append(shown(self.hide(line)))
            else:
                on_record(tuple(shown(self.hide(line)).split("\t")))

        asks_password = self.sudo_password is not None and self.ssh.user != "root"
        text = restore_text(values).encode()
        if asks_password:
            text = f"{self.sudo_password}\n{PASSWORD_END}\n".encode() + text
        try:
            done = self.connector.run(
                self.reach(),
                shell(self.ssh, "restore", asks_password=asks_password),
                stdin=text,
                on_line=take,
                cancelled=cancelled,
                timeout_seconds=seconds,
            )
        except SshError as error:
            raise HostSilentError(host=self.name, why=shown(self.hide(str(error)))) from None
        if done.ending is Ending.TIMED_OUT:
            raise HostSilentError(host=self.name, why=f"no complete answer within {seconds:g} s")
        if done.ending is Ending.ITSELF and done.status != 0:
            self._raise(done.status, said)

    def _raise(self, status: int, said: list[str]) -> None:
        told = "\n".join(line for line in said if line.strip()) or f"it ended with status {status} and without a word"
        if status == BUSY:
            raise BusyHostError(self.name)
        if status in {REFUSED, NOT_ALLOWED}:
            raise HostRefusedError(host=self.name, said=told.removeprefix("refused: "))
        raise RestoreFailedError(host=self.name, said=told.removeprefix("failed: "))


def storage_host(hosts: LabHosts, name: str, connector: Connector) -> StorageHost:
    """Return one of a lab's hosts as the one whose file systems are restored, connected when it is first asked."""
    return StorageHost(
        name=name,
        ssh=hosts.targets[name],
        reach=hosts.reach(name),
        connector=connector,
        hide=hosts.hider(),
        sudo_password=hosts.sudo_password,
    )


def restore_text(values: Mapping[str, str]) -> str:
    """Return what a root shell is fed: the values, the scripts, and their call at the very end.

    What was cut off in transfer runs nothing. The scripts come along, so that they are this program's own version and
    a host that is being rebuilt needs none.
    """
    given = {**_VALUES, **values}
    lines = [f"readonly {name}={shlex.quote(value)}" for name, value in sorted(given.items())]
    body = "\n".join([*lines, *(read_script(name) for name in RESTORE_SCRIPTS), "run_restore"])
    return f"main() {{\n{body}\n}}\nmain </dev/null\nexit\n"


def _word(flag: bool) -> str:  # noqa: FBT001 - it is the one thing converted
    return "true" if flag else "false"
