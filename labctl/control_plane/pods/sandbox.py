"""Becomes a pod's process: a root folder of its own, the pod's user, then the program itself.

Run by itself (``python -I sandbox.py PLAN``) below `unshare`, in namespaces of its own where the machine allows that;
it needs nothing but the standard library. The root folder is put together on a tmpfs: the machine's programs and
libraries, read only; the pod's volumes; what the program's interpreter needs. Nothing else of the machine is in it:
no home folders, no control plane, none of the project. Without namespaces (``root`` is null in the plan) only the user
changes, if it may, and the environment.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import TypedDict

__all__ = ["PlannedMount", "SandboxPlan", "main"]

SYSTEM_FOLDERS = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr")
"""What of the machine a process sees, where it exists: programs, libraries and their configuration."""
RESOLVERS = "/run/systemd/resolve"
"""Where ``/etc/resolv.conf`` leads on machines with systemd-resolved."""

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_REMOUNT, MS_NOATIME, MS_NODIRATIME, MS_BIND = 0x20, 0x400, 0x800, 0x1000
MS_MOVE, MS_REC, MS_RELATIME = 0x2000, 0x4000, 0x200000
"""Linux, ``include/uapi/linux/mount.h``."""
_KEPT = {
    1: MS_RDONLY,
    2: MS_NOSUID,
    4: MS_NODEV,
    8: MS_NOEXEC,
    1024: MS_NOATIME,
    2048: MS_NODIRATIME,
    4096: MS_RELATIME,
}
"""Flags of `os.statvfs` and of mount(2): what a mount has, a remount must not lose in a user namespace."""
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 1, 38, 47, 4
"""Linux, ``include/uapi/linux/prctl.h``."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class PlannedMount(TypedDict):
    """A file or folder of the machine, where the process sees it."""

    source: str
    target: str
    read_only: bool


class SandboxPlan(TypedDict):
    """What is to become of this process."""

    root: str | None
    """Empty folder the root is put together on; None: no namespaces, no mounts."""
    hostname: str
    mounts: list[PlannedMount]
    visible: list[str]
    """Folders of the machine beside the system's own that the program needs to see, read only, where they are."""
    uid: int | None
    """None: whoever runs this."""
    gid: int
    groups: list[int]
    folder: str
    """Working folder; the root where it is not there."""
    variables: dict[str, str]
    command: list[str]


def main(path: str) -> None:
    """Become the process that the plan at `path` describes; returns never."""
    plan: SandboxPlan = json.loads(Path(path).read_text(encoding="utf-8"))
    if plan["root"] is not None:
        socket.sethostname(plan["hostname"])
        _Root(Path(plan["root"])).enter(plan)
    if plan["uid"] is not None:
        os.setgroups(plan["groups"])
        os.setresgid(plan["gid"], plan["gid"], plan["gid"])
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])
    _call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    # No program with the setuid bit gives anything more than the user has: allowPrivilegeEscalation is false.
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if plan["root"] is not None:
        # `unshare --kill-child` asked for it; the kernel forgets it when the user changes.
        _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.umask(0o022)
    os.chdir(plan["folder"] if os.access(plan["folder"], os.X_OK) else "/")
    os.execvpe(plan["command"][0], plan["command"], plan["variables"])  # noqa: S606 - the pod's own program


class _Root:
    """A root folder that is put together; paths are those the process will see."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._ours: set[Path] = set()
        """Folders on a tmpfs of ours, in which something can be made."""
        self._volumes: set[Path] = set()
        """Volumes that may be written to: what is mounted below them is made in them, as container runtimes do."""

    def enter(self, plan: SandboxPlan) -> None:
        """Have this as the root folder."""
        self._tmpfs(Path("/"), "mode=0755")
        for name in SYSTEM_FOLDERS:
            self._as_on_machine(Path("/") / name)
        for name in ("dev", "sys"):
            self._bind(f"/{name}", self._place(Path("/") / name, is_folder=True), read_only=False)
        self._processes()
        for name in ("tmp", "run", "var", "var/tmp", "home"):
            self._tmpfs(self._place(Path("/") / name, is_folder=True), "mode=1777" if "tmp" in name else "mode=0755")
        if Path(RESOLVERS).is_dir():
            self._bind(RESOLVERS, self._place(Path(RESOLVERS), is_folder=True), read_only=True)
        for folder in plan["visible"]:
            if not self._seen(Path(folder)).exists():
                self._bind(folder, self._place(Path(folder), is_folder=True), read_only=True)
        for mount in plan["mounts"]:
            is_folder = Path(mount["source"]).is_dir()
            place = self._place(Path(mount["target"]), is_folder=is_folder)
            self._bind(mount["source"], place, read_only=mount["read_only"])
            if is_folder and not mount["read_only"]:
                self._volumes.add(place)
        os.chdir(self._base)
        _mount(str(self._base), "/", None, MS_MOVE, None)
        os.chroot(".")
        os.chdir("/")

    def _seen(self, path: Path) -> Path:
        return self._base / path.relative_to("/")

    def _as_on_machine(self, path: Path) -> None:
        """Show a file, folder or link of the machine where it is, read only."""
        if path.is_symlink():
            self._seen(path).symlink_to(path.readlink())
        elif path.exists():
            self._bind(str(path), self._place(path, is_folder=path.is_dir()), read_only=True)

    def _place(self, path: Path, *, is_folder: bool) -> Path:
        """Return a path at which something can be mounted, made where it was missing; links are followed."""
        here = Path("/")
        parts = list(path.parts[1:])
        while parts:
            following = here / parts.pop(0)
            seen = self._seen(following)
            if seen.is_symlink():
                link = Path(os.path.normpath(here / seen.readlink()))
                parts, here = [*link.parts[1:], *parts], Path("/")
                continue
            if not seen.exists():
                if here not in self._ours and not any(here.is_relative_to(each) for each in self._volumes):
                    self._open(here)
                if parts or is_folder:
                    seen.mkdir(mode=0o755)
                    if here in self._ours:
                        self._ours.add(following)
                else:
                    seen.touch(mode=0o644)
            here = following
        return here

    def _open(self, folder: Path) -> None:
        """Put a tmpfs in place of a folder of the machine, with all that was in it, so that more can be put there."""
        self._tmpfs(folder, f"mode={stat.S_IMODE(self._seen(folder).stat().st_mode):o}")
        for entry in sorted(folder.iterdir()):
            if entry.is_symlink() or entry.is_dir() or entry.is_file():
                self._as_on_machine(entry)

    def _tmpfs(self, path: Path, options: str) -> None:
        _mount("tmpfs", str(self._seen(path)), "tmpfs", MS_NOSUID | MS_NODEV, options)
        self._ours.add(path)

    def _bind(self, source: str, place: Path, *, read_only: bool) -> None:
        target = str(self._seen(place))
        _mount(source, target, None, MS_BIND | MS_REC, None)
        if read_only:
            now = os.statvfs(target).f_flag
            kept = sum(flag for known, flag in _KEPT.items() if now & known)
            _mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept, None)
        self._ours.discard(place)

    def _processes(self) -> None:
        """Show the processes of the namespace; where the machine forbids that, those of the machine."""
        place = self._place(Path("/proc"), is_folder=True)
        try:
            _mount("proc", str(self._seen(place)), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)
        except PermissionError:
            self._bind("/proc", place, read_only=False)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    if _LIBC.mount(*encoded, ctypes.c_ulong(flags), None if options is None else options.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: mounting {source or kind or 'anew'}", target)


def _call(name: str, *arguments: int) -> None:
    if getattr(_LIBC, name)(*(ctypes.c_ulong(each) for each in arguments)) != 0:
        number = ctypes.get_errno()
        if number != errno.EINVAL:
            raise OSError(number, os.strerror(number), name)


if __name__ == "__main__":
    main(sys.argv[1])
