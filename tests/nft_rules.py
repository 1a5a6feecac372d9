"""An interpreter of the nftables rules that hosts get: only what they are written in; anything else is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from components.addresses import AnyAddress

PROTOCOL_NUMBERS = {"112": "vrrp"}
TOKEN = re.compile(r'"[^"]*"|\{[^}]*\}|[^\s{}"]+')


@dataclass(frozen=True, kw_only=True)
class Packet:
    """The first packet of a connection, as it comes to a host (or through it, to a chain of the forward hook)."""

    source: AnyAddress
    destination: AnyAddress
    protocol: str = "tcp"
    """``tcp``, ``udp``, ``icmp``, ``ipv6-icmp``, ``vrrp``."""
    port: int = 0
    state: str = "new"
    was_translated: bool = False
    """Whether its destination was another before (a service's address or port)."""
    interface: str = "eth0"


def chains(rules: str) -> dict[str, list[str]]:
    """Return the lines of each chain of the one table, by name."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in (line.strip() for line in rules.splitlines()):
        if match := re.fullmatch(r"chain (\w+) \{", line):
            current = match[1]
            found[current] = []
        elif line == "}":
            current = ""
        elif current:
            found[current].append(line)
        else:
            assert re.fullmatch(r"(delete )?table inet \w+( \{)?", line), line
    return found


def accepts(rules: str, packet: Packet, chain: str = "input") -> bool:
    """Tell whether a packet passes the chain of a hook."""
    everything = chains(rules)
    hook, *_ = everything[chain]
    policy = re.fullmatch(rf"type filter hook {chain} priority filter; policy (accept|drop);", hook)
    assert policy is not None, hook
    verdict = _walk(everything, chain, packet)
    return (verdict or policy[1]) == "accept"


def _walk(everything: dict[str, list[str]], chain: str, packet: Packet) -> str | None:
    """Return the verdict of a chain, or None where the packet comes out at its end."""
    for line in everything[chain]:
        if line.startswith("type filter hook"):
            continue
        verdict = _rule(line, packet)
        if verdict is not None and verdict.startswith("jump "):
            verdict = _walk(everything, verdict.removeprefix("jump "), packet)
        if verdict is not None:
            return verdict
    return None


def _rule(line: str, packet: Packet) -> str | None:
    """Return what a rule says of a packet, or None where it does not match."""
    tokens = iter(TOKEN.findall(line))
    for token in tokens:
        if token in ("accept", "drop"):
            return token
        if token == "jump":
            return f"jump {next(tokens)}"
        if not _matches(token, tokens, packet):
            return None
    message = f"a rule without a verdict: {line}"
    raise AssertionError(message)


def _matches(token: str, tokens: Iterator[str], packet: Packet) -> bool:
    if token == "iif":
        return next(tokens) == packet.interface
    expression = f"{token} {next(tokens)}"
    value = next(tokens)
    known: dict[str, Callable[[], bool]] = {
        "ct state": lambda: packet.state in value.split(","),
        "ct status": lambda: packet.was_translated and value == "dnat",
        "meta nfproto": lambda: value == f"ipv{packet.source.version}",
        "meta l4proto": lambda: packet.protocol in {PROTOCOL_NUMBERS.get(name, name) for name in _members(value)},
        "ip saddr": lambda: _holds(4, value, packet.source),
        "ip6 saddr": lambda: _holds(6, value, packet.source),
        "ip daddr": lambda: _holds(4, value, packet.destination),
        "ip6 daddr": lambda: _holds(6, value, packet.destination),
        "tcp dport": lambda: packet.protocol == "tcp" and _is_port(packet.port, value),
        "udp dport": lambda: packet.protocol == "udp" and _is_port(packet.port, value),
    }
    assert expression in known, f"nothing is known of {expression}"
    return known[expression]()


def _members(value: str) -> list[str]:
    return [entry.strip() for entry in value.strip("{} ").split(",")]


def _holds(version: int, value: str, address: AnyAddress) -> bool:
    return address.version == version and any(address in ip_network(entry) for entry in _members(value))


def _is_port(port: int, value: str) -> bool:
    ranges = (entry.partition("-") for entry in _members(value))
    return any(int(first) <= port <= int(last or first) for first, _, last in ranges)
