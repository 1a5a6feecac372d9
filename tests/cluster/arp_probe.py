"""``arp_probe.py INTERFACE ADDRESS``: ask who has an IPv4 address and print the hardware address that answers, if any.

Uses the packet socket of Linux; needs the right to open one.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

ETH_P_ARP = 0x0806
REQUEST, REPLY = 1, 2
PATIENCE_SECONDS = 1.0
HEADER = "!6s6sHHHBBH6s4s6s4s"
"""Ethernet and ARP: destination, source, type, hardware, protocol, their lengths, operation, sender, target."""


def main() -> None:
    """Ask, and wait for the answer."""
    interface, address = sys.argv[1:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as wire:
        wire.bind((interface, ETH_P_ARP))
        own = wire.getsockname()[4]
        wanted = socket.inet_aton(address)
        nobody = b"\0" * 6
        asked = (
            b"\xff" * 6,
            own,
            ETH_P_ARP,
            1,
            0x0800,
            6,
            4,
            REQUEST,
            own,
            socket.inet_aton("10.20.0.1"),
            nobody,
            wanted,
        )
        wire.send(struct.pack(HEADER, *asked))
        deadline = time.monotonic() + PATIENCE_SECONDS
        wire.settimeout(PATIENCE_SECONDS)
        with contextlib.suppress(TimeoutError):
            while time.monotonic() < deadline:
                frame = struct.unpack(HEADER, wire.recv(2048)[: struct.calcsize(HEADER)])
                if frame[7] == REPLY and frame[9] == wanted:
                    sys.stdout.write(frame[8].hex(":") + "\n")
                    return


main()
