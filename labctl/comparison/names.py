"""What two stacks cannot have in common: their names, addresses, keys and disks, recognised wherever they stand.

Names of either stack are recognised in both, so that a word which is a name in one and something else in the other
(``test``) makes no difference that is none. Addresses are recognised in the stack whose network they lie in alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labctl.graph.values import Plain

__all__ = ["Owner", "Side", "sides"]

IPV4: Final = re.compile(r"(?<![0-9.])(?P<address>(?:[0-9]{1,3}\.){3}[0-9]{1,3})(?P<prefix>/[0-9]{1,2})?(?![0-9.])")
DISK: Final = re.compile(r"/dev/disk/by-[a-z]+/[A-Za-z0-9_.:+-]+")
SCRIPT: Final = re.compile(r"-[0-9a-f]{12}(?=\.sh\b)")
"""Digest in the name of a script on a host: a script that differs differs in what it says, too."""
DERIVED: Final = (
    (re.compile(r"(?<=virtual_router_id )[0-9]+"), "<number>"),  # from the endpoint's address (components/nodes)
    (re.compile(r"(?<=/)(?P<path>[^ ']+) [0-9]+(?=')"), r"\g<path> <clients>"),  # how many hosts an export is for
)
"""What scripts on hosts say that follows from names and numbers of machines."""
REPEATED: Final = re.compile(r"(?P<first>[^\s,]*<[a-z ]+>[^\s,]*)(?:[\s,]+(?P=first)(?=[\s,)'\"]|$))+")
"""One machine after the other, in one line."""
PLACE: Final = re.compile(r"<[a-z ]+>")
"""What stands for something that is a stack's own."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """One stack and what is its own."""

    stack: str
    cluster: Mapping[str, Plain]
    """Its configuration, complete, as the file has its keys."""

    @cached_property
    def hosts(self) -> dict[str, dict[str, Plain]]:
        """Its machines by name."""
        return {name: host for name, host in _object(self.cluster, "nodes", "hosts").items() if isinstance(host, dict)}

    def role(self, host: str) -> str:
        """Return what a host is for: ``gpu worker``, ``control-plane``."""
        roles = self.hosts[host].get("roles")
        words = "+".join(str(role) for role in roles) if isinstance(roles, list) else "host"
        return f"gpu {words}" if self.hosts[host].get("gpus") else words

    @cached_property
    def networks(self) -> tuple[IPv4Network, ...]:
        """Networks whose addresses are its own: its hosts', and those it announces."""
        texts = [_object(self.cluster, "network").get("hosts")]
        return tuple(filter(None, (_network(text) for text in texts)))

    @cached_property
    def addresses(self) -> frozenset[str]:
        """Addresses that are its own wherever they lie."""
        gateway, endpoint = _object(self.cluster, "network", "gateway"), _object(self.cluster, "nodes", "endpoint")
        named = [host.get(key) for host in self.hosts.values() for key in ("address", "secondAddress")]
        return frozenset(
            str(text)
            for text in (*named, gateway.get("address"), gateway.get("secondAddress"), endpoint.get("address"))
            if text
        )

    @cached_property
    def pools(self) -> frozenset[str]:
        """What its load balancer hands out, as written: networks and ranges."""
        pools = _object(self.cluster, "network", "loadBalancer").get("pools")
        found = [pool.get("addresses") for pool in pools if isinstance(pool, dict)] if isinstance(pools, list) else []
        return frozenset(str(text) for texts in found if isinstance(texts, list) for text in texts)

    def words(self) -> Iterator[tuple[str, str]]:
        """Yield each name that is its own, and what stands in its place."""
        yield self.stack, "<stack>"
        yield str(self.cluster.get("name") or self.stack), "<cluster>"
        if domain := self.cluster.get("domain"):
            yield str(domain), "<domain>"
        for name, host in self.hosts.items():
            yield name, "<host>"
            if key := host.get("hostKey"):
                yield str(key), "<host key>"


@dataclass(frozen=True)
class Side:
    """One of the two stacks, and how its texts read without what is its own."""

    owner: Owner
    words: Mapping[str, str]
    seen: set[str] = field(default_factory=set[str])
    """What was recognised."""
    _lines: dict[str, str] = field(default_factory=dict[str, str])
    """Lines that were read already: every host of a lab has nearly the same scripts."""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.words, key=lambda word: (-len(word), word))
        return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest_first))})(?![A-Za-z0-9])")

    @cached_property
    def _pools(self) -> re.Pattern[str] | None:
        pools = sorted(self.owner.pools, key=lambda text: (-len(text), text))
        return re.compile(rf"(?<![0-9.])(?:{'|'.join(map(re.escape, pools))})(?![0-9.])") if pools else None

    def text(self, text: str) -> str:
        """Return a text with what is the stack's own in angle brackets: ``homes-<stack>``."""
        kept: list[str] = []
        for line in text.split("\n"):
            read = self._line(line)
            if not kept or read != kept[-1] or PLACE.search(read) is None:  # one machine after the other, line by line
                kept.append(read)
        return "\n".join(kept)

    def _line(self, line: str) -> str:
        read = self._lines.get(line)
        if read is None:
            read = self._lines[line] = self._new_line(line)
        return read

    def _new_line(self, line: str) -> str:
        text = SCRIPT.sub("", DISK.sub(lambda _: self._named("<disk>"), line))
        text = self._pattern.sub(lambda found: self._named(self.words[found[0]]), text)
        if self._pools is not None:
            text = self._pools.sub(lambda _: self._named("<pool>"), text)
        text = IPV4.sub(self._address, text)
        for pattern, place in DERIVED:
            text = pattern.sub(place, text)
        return REPEATED.sub(r"\g<first>", text) if "<" in text else text

    def value(self, value: Plain) -> Plain:
        """Return plain data whose texts and keys are all read so; of equal machines in a list one is left."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return _without_repeats([self.value(item) for item in value])
        if isinstance(value, dict):
            found: dict[str, Plain] = {}
            for key, item in value.items():
                name, read = self.text(key), self.value(item)
                found[name] = read if name not in found else _both(found[name], read)
            return found
        return value

    def _named(self, placeholder: str) -> str:
        self.seen.add(placeholder.strip("<>"))
        return placeholder

    def _address(self, found: re.Match[str]) -> str:
        text, prefix = found["address"], found["prefix"] or ""
        network = _network(text + prefix)
        if network is None:
            return found[0]
        if network in self.owner.networks and prefix:
            return self._named("<hosts>")
        is_own = text in self.owner.addresses or any(network.subnet_of(known) for known in self.owner.networks)
        return self._named("<address>") if is_own else found[0]


def sides(one: Owner, other: Owner) -> tuple[Side, Side]:
    """Return how the texts of either stack read without what is its own."""
    words = {word: place for owner in (one, other) for word, place in owner.words()}
    return Side(one, words), Side(other, words)


def _object(value: Mapping[str, Plain], *keys: str) -> Mapping[str, Plain]:
    found: Mapping[str, Plain] = value
    for key in keys:
        inner = found.get(key)
        found = inner if isinstance(inner, dict) else {}
    return found


def _network(text: Plain) -> IPv4Network | None:
    try:
        network = ip_network(str(text), strict=False)
    except ValueError:
        return None
    return network if isinstance(network, IPv4Network) else None


def _without_repeats(items: Sequence[Plain]) -> list[Plain]:
    found: list[Plain] = []
    for item in items:
        if item not in found or not _has_place(item):
            found.append(item)
    return found


def _has_place(value: Plain) -> bool:
    if isinstance(value, dict):
        return any(_has_place(item) or "<" in key for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_place, value))
    return isinstance(value, str) and "<" in value


def _both(one: Plain, other: Plain) -> Plain:
    """Return what two keys hold that read the same: their value, or each."""
    if one == other:
        return one
    return _without_repeats([*(one if isinstance(one, list) else [one]), other])
