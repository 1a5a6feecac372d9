"""Two storage hosts of a bed, the second of which follows the first: their section, their steps, what can be asked."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bed import Host
from preparation import Report
from storage_hosts import StorageHosts, disk, pool

from components.nodes.steps import PlainValue, Step
from components.storage.config import StorageConfig

__all__ = ["FETCH", "LOGIN", "NAMES", "UNIT", "Pair", "names", "settled"]

FETCH = "/usr/local/lib/research-compute/replica-fetch"
UNIT = "research-compute-replica"
LOGIN = "research-compute-replica"
NAMES = ("snapshots", "replica-key", "replica-access", "replica")
SECONDS = 300
"""For a copy of some megabytes on a busy machine."""


@dataclass
class Pair:
    """Two storage hosts, the second of which follows the first."""

    hosts: StorageHosts
    snapshots: dict[str, int] = field(default_factory=lambda: {"hourly": 36, "daily": 30, "weekly": 0, "monthly": 0})
    keep: dict[str, int] = field(default_factory=lambda: {"hourly": 36, "daily": 30, "weekly": 0, "monthly": 0})
    key: str = ""

    @property
    def first(self) -> Host:
        return self.hosts.host(0)

    @property
    def second(self) -> Host:
        return self.hosts.host(1)

    @property
    def storage(self) -> StorageConfig:
        return self.hosts.storage(
            {
                "tank": pool("stripe", [disk("a")]),
                "vault": {**pool("stripe", [disk("a")]), "host": self.second.name},
            },
            scratch={"path": "/tank/scratch"},
            shared=[
                {"name": "data", "path": "/tank/data", "mountPath": "/shared/data", "size": "100Mi"},
                {
                    "name": "cache",
                    "path": "/tank/cache",
                    "mountPath": "/shared/cache",
                    "size": "9Mi",
                    "snapshots": False,
                },
            ],
            snapshots=self.snapshots,
            replication={"pool": "vault", "keep": self.keep},
        )

    def step(self, name: str) -> Step:
        return next(step for step in self.hosts.steps(self.storage) if step.name == name)

    def run(self, name: str, mode: str = "apply", **values: PlainValue) -> Report:
        """Run a step, with the key that the other host's step gave."""
        given = {"REPLICA_KEY": self.key} if name == "replica-access" else {}
        report = self.hosts.run(self.step(name), mode, **{**given, **values})
        if name == "replica-key" and report.code == 0 and mode != "undo":
            self.key = report.result["key"]
        return report

    def up(self) -> Mapping[str, tuple[str, ...]]:
        """Run all steps; return what each changed, those without changes left out."""
        done = {name: self.run(name).changed for name in NAMES}
        return {name: changes for name, changes in done.items() if changes}

    def check(self) -> Mapping[str, tuple[str, ...]]:
        done = {name: self.run(name, "check").changed for name in NAMES}
        return {name: changes for name, changes in done.items() if changes}

    def fetch(self) -> None:
        """Have the second host fetch, as its timer does."""
        self.second.console(f"systemctl start {UNIT}.service", seconds=SECONDS)

    def snap(self, kind: str = "hourly") -> str:
        """Take a snapshot of all of sanoid's roots, under a name as sanoid gives it; return its name."""
        # ZFS knows the second a snapshot was taken in, and sanoid takes no two of a kind in one.
        time.sleep(1.1)
        name = f"autosnap_{time.strftime('%Y-%m-%d_%H:%M:%S')}_{kind}"
        self.first.console(f"zfs snapshot -r tank/homes@{name}; zfs snapshot -r tank/data@{name}")
        return name

    def ssh(self, command: str, *, options: str = "", host: Host | None = None) -> tuple[int, str]:
        """Ask the first host something with the replica's key; return exit code and all that was said."""
        line = (
            f"ssh -i /etc/research-compute/replica/key -o BatchMode=yes -o HostKeyAlias={self.first.name}"
            f" -o UserKnownHostsFile=/etc/research-compute/replica/known_hosts {options}"
            f" {LOGIN}@{self.first.address} {shlex.quote(command)} 2>&1 </dev/null; code=$?; echo; echo $code"
        )
        *said, code = (host or self.second).console(line).splitlines()
        return int(code), "\n".join(said)


def names(host: Host, root: str) -> set[str]:
    """Return the snapshots of a file system and all beneath it."""
    return set(host.console(f"zfs list -H -r -t snapshot -o name {root}").split())


def settled(pair: Pair) -> str:
    """Return how the fetching ended, once it has."""
    until = time.monotonic() + SECONDS
    state = "activating"
    while state == "activating" and time.monotonic() < until:
        state = pair.second.console(f"systemctl is-active {UNIT}.service; true").strip()
        time.sleep(0.2)
    return state
