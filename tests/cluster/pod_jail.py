"""Becomes a pod's container, as far as a process can: ``pod_jail.py SOCKET PORT ROOT PROGRAM ARGUMENT...``.

A network of its own, with nothing in it but loopback, and a root of its own. What the program listens on reaches
nobody, and it reaches nobody but the API server: that one's address in here is a socket which the parent, outside,
accepts from. Started as a process, with nothing imported from the tests: it must have one thread.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def _system(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack("16xH14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def main() -> None:
    """Enter the jail and become the program."""
    parent, port, root, program, *arguments = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    # The tests may be killed; the program shall not outlive them.
    _system(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    _system(libc.unshare(CLONE_NEWNET))
    _loopback_up()
    server = socket.create_server(("127.0.0.1", int(port)))
    with socket.socket(fileno=int(parent)) as outside:
        rights = array.array("i", [server.fileno()])
        outside.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    server.close()
    os.chroot(root)
    os.chdir("/")
    os.execv(program, [program, *arguments])  # noqa: S606 - this is what the file is for


main()
