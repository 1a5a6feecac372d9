"""A bed: a private network with hosts in it, all of which are gone when the bed is.

    with Bed.start(3) as bed:
        bed.hosts[0].run("uname -a")

By hand, with hosts that stay until Ctrl-C (or SIGTERM): ``python tests/hosts/bed.py --hosts 2``.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from bed_base import LOGIN, base_disk
from bed_cgroups import groups_named, kill_all, remove_groups
from bed_commands import call
from bed_errors import BedInUseError
from bed_hosts import Access, Host, new_key
from bed_network import Bridge, remove_namespaces
from bed_sysctls import restore_settings, save_settings

from labctl.control_plane.cache import cache_directory
from labctl.control_plane.progress import Progress, silent

__all__ = ["Bed", "clean_up_leftovers"]

RECORDS = Path("/run/research-compute-beds")
"""One lock per bed, held by the process whose bed it is: the kernel frees it however that ends, so that a lock that can
be had belongs to nobody and what it stands for is a leftover."""

NUMBERS = range(20, 250)
"""Of beds: the third number of their addresses, 10.78.N.0/24."""

FIRST_HOST = 11
"""Last number of the first host's address."""

VIRTUAL = 100
"""Last number of an address no host has: for keepalived to move about."""


def _prefix(number: int) -> str:
    return f"lab{number}-"


class Bed:
    """Hosts on a network of their own; see `start`.

    Parameters
    ----------
    number
        Of the bed; its lock is held by `claim`.
    claim
        The open lock file.
    directory
        Where its disks and keys are; removed with it.
    """

    def __init__(self, number: int, claim: IO[bytes], directory: Path) -> None:
        self.number = number
        self.directory = directory
        self.bridge = Bridge(f"lab{number}", f"10.78.{number}")
        self.access = Access(key=directory / "login", known_hosts=directory / "known_hosts")
        self.hosts: list[Host] = []
        self._claim = claim

    @classmethod
    def start(cls, count: int, *, number: int | None = None, progress: Progress = silent) -> "Bed":
        """Return a bed with `count` hosts that answer by SSH. What killed runs left on this machine is removed first.

        Raises
        ------
        MachineUnfitError
            This machine cannot carry hosts.
        BedInUseError
            The `number` asked for is taken (by default the first free one is).
        HostSilentError
            A host did not come up; nothing is left.
        """
        disk = base_disk(progress)
        clean_up_leftovers()
        number, claim = _claim(number)
        directory = cache_directory() / "beds" / str(number)
        bed = cls(number, claim, directory)
        try:
            bed._make(disk, count)
        except BaseException:
            bed.destroy()
            raise
        return bed

    @property
    def address(self) -> str:
        """This machine's address among the hosts."""
        return self.bridge.address

    @property
    def virtual_address(self) -> str:
        """An address of the network that no host has."""
        return self.bridge.numbered(VIRTUAL)

    def destroy(self) -> None:
        """Leave nothing of the bed: no process, group, namespace, mount or file; the last bed restores the kernel."""
        try:
            _together(Host.destroy, self.hosts)
            self.hosts.clear()
            _remove(self.number)
        finally:
            _release(self._claim)

    def __enter__(self) -> Self:
        """Return the bed itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Destroy it."""
        self.destroy()

    def _make(self, disk: Path, count: int) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        (RECORDS / f"{self.number}.directory").write_text(str(self.directory))
        self.bridge.create()
        login = new_key(self.access.key, "bed")
        self.hosts = [self._make_host(index, disk, login) for index in range(count)]
        names = "".join(f"{host.address} {host.name}\n" for host in self.hosts)
        self.access.known_hosts.write_text("".join(f"{host.address} {host.host_key}\n" for host in self.hosts))
        for host in self.hosts:
            own = f"127.0.0.1 localhost\n127.0.1.1 {host.name}\n::1 localhost ip6-localhost ip6-loopback\n"
            (host.directory / "seed/etc/hosts").write_text(own + names.replace(f"{host.address} {host.name}\n", ""))
        _together(Host.boot, self.hosts)
        _together(Host.wait_ready, self.hosts)

    def _make_host(self, index: int, disk: Path, login: str) -> Host:
        name = f"{_prefix(self.number)}h{index + 1}"
        directory = self.directory / name
        seed = directory / "seed"
        host_key = new_key(seed / "etc/ssh/ssh_host_ed25519_key", name)
        (seed / "etc/hostname").write_text(f"{name}\n")
        # Nobody serves names there unless a test does; CoreDNS will not start without an address to ask.
        (seed / "etc/resolv.conf").write_text(f"nameserver {self.address}\n")
        keys = seed / "home" / LOGIN / ".ssh/authorized_keys"
        keys.parent.mkdir(parents=True)
        keys.write_text(f"{login}\n")
        keys.chmod(0o600)
        keys.parent.chmod(0o700)
        call("chown", "-R", "1000:1000", str(seed / "home" / LOGIN))
        port = self.bridge.port(name, FIRST_HOST + index)
        host = Host(name=name, port=port, directory=directory, host_key=host_key, access=self.access)
        call("cp", "--sparse=always", "--reflink=auto", str(disk), str(host.disk))
        return host


def clean_up_leftovers() -> None:
    """Leave nothing of beds whose process has ended without removing them."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    for lock in RECORDS.glob("*.lock"):
        if claim := _lock(lock):
            _remove(int(lock.stem))
            _release(claim)


def _claim(number: int | None) -> tuple[int, IO[bytes]]:
    """Return the number of a bed and its lock, held; the machine's settings are saved."""
    with _alone():
        for candidate in NUMBERS if number is None else [number]:
            if claim := _lock(RECORDS / f"{candidate}.lock"):
                save_settings(RECORDS / "settings.json")
                return candidate, claim
    raise BedInUseError(number=number if number is not None else NUMBERS[-1])


def _release(claim: IO[bytes]) -> None:
    """Give the lock back; the last bed's restores the machine's settings."""
    with _alone():
        Path(claim.name).unlink(missing_ok=True)
        if not list(RECORDS.glob("*.lock")):
            restore_settings(RECORDS / "settings.json")
        claim.close()


def _lock(path: Path) -> IO[bytes] | None:
    """Return the lock file, held, or None if another process holds it."""
    claim = path.open("ab")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        claim.close()
        return None
    # The holder before may have removed the file while we waited to open it: then this lock guards nothing.
    if not path.exists() or path.stat().st_ino != os.fstat(claim.fileno()).st_ino:
        claim.close()
        return None
    return claim


@contextmanager
def _alone() -> Generator[None]:
    """Let no other process take or leave a number meanwhile."""
    with (RECORDS / "guard").open("ab") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


def _remove(number: int) -> None:
    """Leave nothing of the bed `number`, whoever made it."""
    prefix = _prefix(number)
    for name in groups_named(prefix):
        kill_all(name)
        remove_groups(name)
    remove_namespaces(prefix)
    Bridge(f"lab{number}", f"10.78.{number}").remove()
    record = RECORDS / f"{number}.directory"
    if record.exists():
        shutil.rmtree(record.read_text(), ignore_errors=True)
        record.unlink()


def _together(act: Callable[[Host], None], hosts: Iterable[Host]) -> None:
    """Do it to all hosts at the same time; the first error is raised once all have ended."""
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(act, host) for host in hosts]:
            done.result()


def main() -> None:
    """Keep a bed up until Ctrl-C or SIGTERM, its facts on standard output as one line of JSON."""
    parser = argparse.ArgumentParser(description="hosts to try things on")
    parser.add_argument("--hosts", type=int, default=1, help="how many")
    parser.add_argument("--number", type=int, help="of the bed: its addresses are 10.78.NUMBER.*; default: a free one")
    options = parser.parse_args()

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    with Bed.start(options.hosts, number=options.number, progress=say) as bed:
        facts = {
            "number": bed.number,
            "machine": bed.address,
            "virtual": bed.virtual_address,
            "login": LOGIN,
            "key": str(bed.access.key),
            "known_hosts": str(bed.access.known_hosts),
            "hosts": [{"name": host.name, "address": host.address, "key": host.host_key} for host in bed.hosts],
        }
        sys.stdout.write(f"{json.dumps(facts)}\n")
        for host in bed.hosts:
            say(" ".join(bed.access.command(host.address)))
        sys.stdout.flush()
        # Blocked before it waits, so that a signal that comes early is not lost.
        ends = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
