"""A user-space NFS client on a host of the bed: libnfs, told what to do line by line, over one mount.

This machine's kernel has no NFS client. libnfs speaks version 4.0 alone, so a server it is to reach has to be told to
speak that as well. It repeats what a lost server did not answer for as long as it is told to; it does not reclaim the
files that it had open (RFC 7530, 9.6.2), which the kernel's client does.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bed import Host

__all__ = ["ANSWER_SECONDS", "PACKAGES", "Mount", "NfsError"]

PACKAGES = ("libnfs-utils", "python3")
"""What a host needs to be a client."""
ANSWER_SECONDS = 60.0
"""For an answer of a server that is there."""
FOREVER = -1
"""Of reconnecting: as often as it takes, as a hard mount does."""

_PROGRAM = r"""
import ctypes as c, errno, json, os, sys, time
given = json.loads(sys.argv[1])
lib = c.CDLL("libnfs.so.13")
lib.nfs_init_context.restype = c.c_void_p
lib.nfs_get_error.restype = c.c_char_p
lib.nfs_get_rpc_context.restype = c.c_void_p
lib.libnfs_authunix_create.restype = c.c_void_p
class Entry(c.Structure):
    pass
Entry._fields_ = [("next", c.POINTER(Entry)), ("name", c.c_char_p)]
lib.nfs_readdir.restype = c.POINTER(Entry)
class Stat(c.Structure):
    _fields_ = [(name, c.c_uint64) for name in "dev ino mode nlink uid gid rdev size".split()]
    _fields_.append(("more", c.c_uint64 * 9))
nfs = c.c_void_p(lib.nfs_init_context())
lib.nfs_set_version(nfs, 4)
gids = (c.c_uint32 * len(given["groups"]))(*given["groups"])
lib.nfs_set_auth(nfs, c.c_void_p(lib.libnfs_authunix_create(b"client", given["uid"], given["gid"], len(gids), gids)))
lib.nfs_set_timeout(nfs, given["timeout"])
opened = {}
def checked(status):
    if status < 0:
        raise OSError(-status, lib.nfs_get_error(nfs).decode())
    return status
def file(path, flags, mode=0o600):
    handle = c.c_void_p()
    checked(lib.nfs_open2(nfs, path.encode(), flags, mode, c.byref(handle)))
    return handle
def create(path, text):
    # The server keeps a new file's verifier in its times, and zfs-fuse has none after 2038: half of all are refused.
    for attempt in range(40):
        try:
            handle = file(path, os.O_CREAT | os.O_RDWR)
            break
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    if text:
        checked(lib.nfs_write(nfs, handle, c.c_uint64(len(text)), text.encode()))
    checked(lib.nfs_close(nfs, handle))
def append(path, text):
    if path not in opened:
        opened[path] = file(path, os.O_RDWR | os.O_APPEND)
    checked(lib.nfs_write(nfs, opened[path], c.c_uint64(len(text)), text.encode()))
def read(path):
    handle, buffer = file(path, os.O_RDONLY), c.create_string_buffer(1 << 16)
    count = checked(lib.nfs_pread(nfs, handle, c.c_uint64(0), c.c_uint64(len(buffer)), buffer))
    checked(lib.nfs_close(nfs, handle))
    return buffer.raw[:count].decode()
def ls(path):
    folder = c.c_void_p()
    checked(lib.nfs_opendir(nfs, path.encode(), c.byref(folder)))
    names = []
    while entry := lib.nfs_readdir(nfs, folder):
        names.append(entry.contents.name.decode())
    lib.nfs_closedir(nfs, folder)
    return sorted(set(names) - {".", ".."})
def stat(path):
    found = Stat()
    checked(lib.nfs_stat64(nfs, path.encode(), c.byref(found)))
    return [found.uid, found.gid, oct(found.mode & 0o7777)]
def mount():
    checked(lib.nfs_mount(nfs, given["server"].encode(), given["path"].encode()))
    # Of version 4, the library forgets it while it mounts.
    lib.rpc_set_autoreconnect(c.c_void_p(lib.nfs_get_rpc_context(nfs)), given["reconnects"])
calls = {
    "create": create, "append": append, "read": read, "ls": ls, "stat": stat,
    "mkdir": lambda path, mode=0o777: checked(lib.nfs_mkdir2(nfs, path.encode(), mode)),
    "rmdir": lambda path: checked(lib.nfs_rmdir(nfs, path.encode())),
    "unlink": lambda path: checked(lib.nfs_unlink(nfs, path.encode())),
    "rename": lambda old, new: checked(lib.nfs_rename(nfs, old.encode(), new.encode())),
    "mount": mount,
}
def answer_to(name, *rest):
    while True:
        try:
            return {"is": calls[name](*rest)}
        except OSError as error:
            # A server that has just begun asks new callers to come back (RFC 7530, 9.6.2).
            if "NFS4ERR_GRACE" not in error.strerror:
                return {"error": errno.errorcode.get(error.errno, str(error.errno)), "said": error.strerror}
            time.sleep(0.5)
for line in sys.stdin:
    answer = answer_to(*json.loads(line))
    print(json.dumps(answer), flush=True)
"""


class NfsError(OSError):
    """What the server, or the client in its place, answered: the name of an error number, and what was said."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(f"{name}: {said}")
        self.name = name


@dataclass
class Mount:
    """One mount of one user on one host. Use it in a ``with``; the first call mounts.

    Parameters
    ----------
    host
        The host that mounts.
    server, path
        Address and path of what is mounted.
    uid, gid, groups
        As whom: what the client says of itself.
    reconnects
        How often a lost server is called again; forever by default.
    timeout_seconds
        After how long a call that was not answered is given up; never if None.
    port_below_1024
        False for a client without the right to one: it runs as a user of the host.
    """

    host: Host
    server: str
    path: str
    uid: int = 0
    gid: int = 0
    groups: Sequence[int] = ()
    reconnects: int = FOREVER
    timeout_seconds: float | None = None
    port_below_1024: bool = True
    _process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Begin the session on the host and mount."""
        given = {
            "server": self.server,
            "path": self.path,
            "uid": self.uid,
            "gid": self.gid,
            "groups": list(self.groups),
            "reconnects": self.reconnects,
            "timeout": -1 if self.timeout_seconds is None else int(self.timeout_seconds * 1000),
        }
        program = "cat > /tmp/nfs-client.py.$$ && mv /tmp/nfs-client.py.$$ /tmp/nfs-client.py"
        self.host.run(program, sudo=True, text=_PROGRAM)
        sudo = "sudo -n " if self.port_below_1024 else ""
        self._process = subprocess.Popen(
            [*self.host.access.command(self.host.address), f"{sudo}python3 /tmp/nfs-client.py '{json.dumps(given)}'"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.call("mount")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the session; whatever it waits for is given up."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.terminate()
            process.wait(ANSWER_SECONDS)
            assert process.stdout is not None
            process.stdout.close()

    def call(self, name: str, *given: object) -> object:
        """Return what a call gives: create and append, read, ls, stat, mkdir, rmdir, unlink, rename.

        Raises
        ------
        NfsError
            If it is refused.
        """
        self.begin(name, *given)
        return self.end()

    def begin(self, name: str, *given: object) -> None:
        """Ask for something without waiting for it."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps([name, *given])}\n")
        self._process.stdin.flush()

    def end(self) -> object:
        """Wait for what was asked for, and return it."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the client ended"
        answer = json.loads(line)
        if "error" in answer:
            raise NfsError(answer["error"], answer["said"])
        return answer["is"]
