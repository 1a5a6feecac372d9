"""One host: systemd, sshd, a disk, a network card and a root of control groups of its own; reached by SSH only."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bed_base import LOGIN
from bed_cgroups import kill_all, make_groups, remove_groups
from bed_commands import call
from bed_errors import CommandFailedError, HostSilentError
from bed_network import Port

__all__ = ["Access", "Host", "new_key"]

BOOT_SECONDS = 180.0
"""From power-on to an answer by SSH: 2 s measured on two cores, much more on a machine that builds meanwhile."""

STOP_SECONDS = 20.0
"""For an orderly shutdown; then the power is cut, as somebody in the machine room would."""

RUN_SECONDS = 120.0
"""For a command on a host that says no limit of its own."""

REBOOT_STATUS = 133
"""With it systemd-nspawn ends when the system in it asked to be rebooted."""

TIMED_OUT = 124
"""Exit code reported for a command that was given up, as timeout(1) does."""

SSH_PORT = 22

UNSHARE = "/usr/bin/unshare"
"""Of util-linux: every Linux has it there."""

LAUNCH = """set -e
for group in $GROUPS_OF_HOST; do echo $$ > "$group/cgroup.procs"; done
mount -o loop,noatime,barrier=0 "$DISK" "$ROOT"
if [ -d "$SEED" ]; then cp -a "$SEED/." "$ROOT/"; rm -r "$SEED"; fi
exec nsenter --net="$NAMESPACE" systemd-nspawn --quiet --directory="$ROOT" --boot --register=no --keep-unit \
  --machine="$NAME" --network-namespace-path="$NAMESPACE" --capability=all --bind=/dev/kmsg --bind=/dev/fuse \
  --system-call-filter='@keyring bpf perf_event_open open_by_handle_at' --link-journal=no --resolv-conf=off \
  --timezone=off
"""
"""What the launching shell does in a mount namespace of its own, so that the disk is unmounted, and its loop device
freed, by the end of the last process. It enters the host's groups first, so that everything of the host is in them.
It is in the host's network namespace before systemd-nspawn mounts /sys, which shows the network of whoever mounts it.
No write barriers: a power cut here ends processes, it does not lose what the kernel holds. runc needs keyrings,
an NFS server in user space opens files by their handles."""


@dataclass(frozen=True)
class Access:
    """How the hosts of a bed are logged in to."""

    key: Path
    known_hosts: Path

    def command(self, address: str) -> list[str]:
        """Return the `ssh` command line up to the remote command; it accepts the host's pinned key and no other."""
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.known_hosts),
        }
        settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-i", str(self.key), *settings, f"{LOGIN}@{address}"]


class Host:
    """A host of a bed.

    Parameters
    ----------
    name
        Its name, unique on this machine.
    port
        Its place in the network.
    directory
        Where its disk and console log are.
    host_key
        Its public SSH key, ``ssh-ed25519 AAAA…``.
    access
        How to log in.
    """

    def __init__(self, *, name: str, port: Port, directory: Path, host_key: str, access: Access) -> None:
        self.name = name
        self.address = port.address
        self.host_key = host_key
        self.access = access
        self.directory = directory
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        # Held while power is switched: a reboot from inside must not race with a stop from outside.
        self._power = threading.Lock()

    @property
    def disk(self) -> Path:
        """The file that is its disk."""
        return self.directory / "disk.ext4"

    @property
    def running(self) -> bool:
        """Whether it is powered on."""
        return self._process is not None and self._process.poll() is None

    def boot(self) -> None:
        """Leave the host powered on with a fresh network namespace; it answers some seconds later."""
        with self._power:
            if not self.running:
                self._switch_on()

    def wait_ready(self, seconds: float = BOOT_SECONDS) -> None:
        """Return once a command can be run by SSH.

        Raises
        ------
        HostSilentError
            It did not answer in time; shows the end of its console.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._greets() and self._finished("true", None, 10).returncode == 0:
                return
            time.sleep(0.1)
        raise HostSilentError(name=self.name, seconds=seconds, console=self.console_log()[-3000:])

    def stop(self) -> None:
        """Shut the host down in order, and cut its power if that takes longer than STOP_SECONDS; its disk stays."""
        with self._power:
            process = self._process
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
            self._switch_off()

    def power_off(self) -> None:
        """Cut the host's power: every process of it ends at once, unasked; its disk stays."""
        with self._power:
            self._switch_off()

    def reboot(self) -> None:
        """Shut the host down, boot it again and wait for it: new processes, new network namespace, the same disk."""
        self.stop()
        self.boot()
        self.wait_ready()

    def destroy(self) -> None:
        """Leave nothing of the host."""
        self.power_off()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(
        self,
        command: str,
        *,
        sudo: bool = False,
        text: str | None = None,
        check: bool = True,
        seconds: float = RUN_SECONDS,
    ) -> str:
        """Return what a shell command printed on the host, by SSH; with `sudo`, as root. `text` is its input.

        Raises
        ------
        CommandFailedError
            It ended with an error and `check` is set; carries its exit code and all it said.
        """
        asked = f"sudo -n -- sh -c {shlex.quote(command)}" if sudo else command
        finished = self._finished(asked, text, seconds)
        if check and finished.returncode != 0:
            output = finished.stdout + finished.stderr
            raise CommandFailedError(where=self.name, command=command, code=finished.returncode, output=output)
        return finished.stdout

    def console(self, command: str, *, check: bool = True, seconds: float = RUN_SECONDS) -> str:
        """Return what a shell command printed, run as root at the host's console: it needs no network and no sshd.

        Raises
        ------
        CommandFailedError
            It ended with an error and `check` is set.
        """
        entered = ["nsenter", "-t", str(self.init), "--all", "--wdns=/", "sh", "-c", command]
        finished = subprocess.run(entered, capture_output=True, text=True, check=False, timeout=seconds, input="")
        if check and finished.returncode != 0:
            output = finished.stdout + finished.stderr
            raise CommandFailedError(where=self.name, command=command, code=finished.returncode, output=output)
        return finished.stdout

    @property
    def init(self) -> int:
        """The process of this machine that is the host's process 1.

        Raises
        ------
        HostSilentError
            The host is not powered on, or has just begun to boot.
        """
        process = self._process
        children: Sequence[str] = ()
        if process is not None and process.poll() is None:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if not children:
            raise HostSilentError(name=self.name, seconds=0, console=self.console_log()[-3000:])
        return int(children[0])

    def console_log(self) -> str:
        """Return everything the host has written to its console since it was made."""
        log = self.directory / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def partition(self) -> None:
        """Cut the host off: every packet to and from it is lost; it runs on and notices nothing else."""
        self._port.cut()

    def heal(self) -> None:
        """Connect the host again."""
        self._port.mend()

    def fill_disk(self, *, leave_bytes: int = 0) -> None:
        """Leave so little free space on the host's disk; no other disk becomes fuller by it."""
        # Blocks that are reserved but never written: they cost this machine nothing.
        self.console(
            f"rm -f /filler; free=$(df -B1 --output=avail / | tail -1); fallocate -l $((free - {leave_bytes})) /filler"
            f" 2>/dev/null; dd if=/dev/zero of=/filler2 bs=4096 count={'0' if leave_bytes else '1000000'} 2>/dev/null;"
            " sync -f /; true"
        )

    def free_disk(self) -> None:
        """Give the space back that `fill_disk` took."""
        self.console("rm -f /filler /filler2")

    def require_sudo_password(self, *, required: bool = True) -> None:
        """Have sudo ask the login for `bed_base.SUDO_PASSWORD`, or no longer."""
        tag = "" if required else "NOPASSWD:"
        self.console(f"echo '{LOGIN} ALL=(ALL) {tag}ALL' > /etc/sudoers.d/90-{LOGIN}")

    def _finished(self, command: str, text: str | None, seconds: float) -> subprocess.CompletedProcess[str]:
        asked = [*self.access.command(self.address), "--", command]
        try:
            return subprocess.run(asked, input=text or "", capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"") + (late.stderr or b"")
            output = f"{said.decode(errors='replace')}\nnot ended after {seconds:g} s"
            return subprocess.CompletedProcess(asked, TIMED_OUT, stdout="", stderr=output)

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.address, SSH_PORT), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _switch_on(self) -> None:
        self._port.plug()
        root = self.directory / "root"
        root.mkdir(exist_ok=True)
        environment = os.environ | {
            "DISK": str(self.disk),
            "GROUPS_OF_HOST": " ".join(map(str, make_groups(self.name))),
            "NAME": self.name,
            "NAMESPACE": str(self._port.namespace),
            "ROOT": str(root),
            "SEED": str(self.directory / "seed"),
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",
            "SYSTEMD_NSPAWN_USE_CGNS": "1",
        }
        with (self.directory / "console.log").open("ab") as log:
            process = subprocess.Popen(
                [UNSHARE, "--mount", "--propagation", "private", "sh", "-c", LAUNCH],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._process = process
        threading.Thread(target=self._watch, args=[process], name=f"power-{self.name}", daemon=True).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Switch the host on again when the system on it rebooted itself."""
        if process.wait() == REBOOT_STATUS:
            with self._power:
                if self._process is process:
                    self._switch_off()
                    self._switch_on()

    def _switch_off(self) -> None:
        process, self._process = self._process, None
        kill_all(self.name)
        if process is not None:
            process.wait()
        remove_groups(self.name)
        self._port.unplug()


def new_key(path: Path, comment: str) -> str:
    """Leave a fresh ed25519 key pair at `path` and return the public key without its comment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))
    kind, key = path.with_name(f"{path.name}.pub").read_text().split()[:2]
    return f"{kind} {key}"
