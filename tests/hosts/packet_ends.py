"""Two ends of connections, each run in a network namespace: one that answers, one that tries.

``packet_ends.py answer`` reads one line, ``[[protocol, address, port], ...]``, says ``ready`` and answers until its
input ends.
``packet_ends.py try`` reads ``[[protocol, source, target, port, seconds], ...]`` and says what came of each after so
many seconds at the most: `Outcome`.
"""

import json
import selectors
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

AGAIN_SECONDS = 0.3
"""After which a datagram is sent anew."""
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Outcome(StrEnum):
    """What comes of an attempt."""

    ANSWER = "answer"
    SILENCE = "silence"
    """Nothing came back: dropped on its way."""
    REFUSED = "refused"
    """It got there, and nobody was listening."""


def answer() -> None:
    """Answer at every end until the input ends."""
    wanted: list[tuple[str, str, int]] = json.loads(sys.stdin.readline())
    with selectors.DefaultSelector() as selector:
        for protocol, address, port in wanted:
            # Each address has a socket of its own: a datagram's answer has to come from where the question went.
            end = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, KINDS[protocol])
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            end.bind((address, port))
            if protocol == "tcp":
                end.listen(64)
            selector.register(end, selectors.EVENT_READ, protocol)
        selector.register(sys.stdin, selectors.EVENT_READ, "input")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            for key, _ in selector.select():
                if key.data == "input":
                    return
                assert isinstance(key.fileobj, socket.socket)
                if key.data == "tcp":
                    connection, _ = key.fileobj.accept()
                    connection.sendall(b"hello")
                    connection.close()
                else:
                    _, sender = key.fileobj.recvfrom(16)
                    key.fileobj.sendto(b"hello", sender)


def attempt(protocol: str, source: str, target: str, port: int, seconds: float) -> Outcome:
    """Return what comes of one attempt from an address of this namespace."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with socket.socket(family, KINDS[protocol]) as end:
        end.bind((source, 0))
        try:
            if protocol == "udp":
                end.connect((target, port))
                return _asked_again(end, seconds)
            end.settimeout(seconds)
            end.connect((target, port))
            return Outcome.ANSWER if end.recv(16) == b"hello" else Outcome.REFUSED
        except TimeoutError:
            return Outcome.SILENCE
        except ConnectionError:
            return Outcome.REFUSED


def _asked_again(end: socket.socket, seconds: float) -> Outcome:
    """Ask by datagram until something comes back: the first may be lost while the kernel looks for its neighbour."""
    end.settimeout(AGAIN_SECONDS)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        end.send(b"hello?")
        try:
            return Outcome.ANSWER if end.recv(16) == b"hello" else Outcome.REFUSED
        except TimeoutError:
            continue
    return Outcome.SILENCE


def main() -> None:
    """Be the end that the command line names."""
    if sys.argv[1] == "answer":
        answer()
        return
    tries: list[tuple[str, str, str, int, float]] = json.load(sys.stdin)
    with ThreadPoolExecutor(len(tries)) as pool:
        outcomes = list(pool.map(attempt, *zip(*tries, strict=True)))
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
