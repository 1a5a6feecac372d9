"""Which versions an NFS server speaks, asked of it directly: what no mount of a client tells."""

from __future__ import annotations

import os
import socket
import struct

__all__ = ["speaks_minor", "versions"]

NFS_PORT = 2049
NFS_PROGRAM = 100_003
SECONDS = 60.0
RECORD_END = 1 << 31
"""Marks the last fragment of a record (RFC 5531, 11)."""
PROGRAM_MISMATCH = 2
"""Answer to a version that is not spoken; the lowest and highest follow (RFC 5531, 9)."""
EXCHANGE_ID = 42
"""First operation of a client of 4.1 (RFC 8881, 18.35)."""
MINOR_MISMATCH = 10_021
"""NFS4ERR_MINOR_VERS_MISMATCH (RFC 8881, 15.1.3.2)."""


def versions(address: str) -> tuple[int, int]:
    """Return the lowest and the highest version of NFS that a server speaks."""
    answer = _call(address, version=99, procedure=0, arguments=b"")
    status, lowest, highest = struct.unpack(">III", answer[:12])
    assert status == PROGRAM_MISMATCH
    return lowest, highest


def speaks_minor(address: str, minor: int) -> bool:
    """Tell whether a server takes a request of version 4 with this minor version."""
    owner = f"probe-{os.getpid()}-{minor}".encode()
    exchange = struct.pack(">I8s", EXCHANGE_ID, b"verifier") + _opaque(owner) + struct.pack(">III", 0, 0, 0)
    arguments = _opaque(b"probe") + struct.pack(">II", minor, 1) + exchange
    answer = _call(address, version=4, procedure=1, arguments=arguments)
    accepted, status = struct.unpack(">II", answer[:8])
    assert accepted == 0
    return status != MINOR_MISMATCH


def _call(address: str, *, version: int, procedure: int, arguments: bytes) -> bytes:
    """Return an answer from its accept status on (RFC 5531, 9); the call says nothing of who asks."""
    nobody = struct.pack(">IIII", 0, 0, 0, 0)
    call = struct.pack(">IIIIII", 1, 0, 2, NFS_PROGRAM, version, procedure) + nobody + arguments
    with socket.create_connection((address, NFS_PORT), timeout=SECONDS) as connection:
        connection.sendall(struct.pack(">I", RECORD_END | len(call)) + call)
        length = struct.unpack(">I", _exactly(connection, 4))[0] & ~RECORD_END
        answer = _exactly(connection, length)
    identifier, _, denied, _, verifier = struct.unpack(">IIIII", answer[:20])
    assert (identifier, denied) == (1, 0)
    return answer[20 + verifier :]


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        assert part, "the server hung up"
        parts += part
    return parts


def _opaque(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text + b"\0" * (-len(text) % 4)
