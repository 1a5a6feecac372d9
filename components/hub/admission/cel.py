"""Pieces of CEL that the hub's policies are written with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .policy import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CONTAINERS", "each_container", "mapping", "nothing_at_all", "one_of", "text", "texts"]

CONTAINERS = "variables.containers"
"""Containers and init containers of the pod: what is asked of one is asked of all."""


def text(value: str) -> str:
    r"""Return a text as CEL writes it.

    Examples
    --------
    >>> text('a "b"')
    '"a \\"b\\""'
    """
    return json.dumps(value)


def texts(values: Iterable[str]) -> str:
    """Return a list of texts, in order and each once, so that the same plan gives the same policy."""
    return f"[{', '.join(text(value) for value in sorted(set(values)))}]"


def mapping(values: Mapping[str, str]) -> str:
    """Return a map of texts, by key in order."""
    return "{" + ", ".join(f"{text(key)}: {text(values[key])}" for key in sorted(values)) + "}"


def one_of(value: str, allowed: Iterable[str]) -> str:
    """Return what holds where an expression is one of some texts."""
    return f"{value} in {texts(allowed)}"


def each_container(name: str, reason: str, condition: str, wrong: str, containers: str = CONTAINERS) -> Rule:
    """Return the rule that a condition holds for every container ``c``; the message names those it does not hold for.

    Parameters
    ----------
    name, reason
        Of the rule.
    condition
        CEL with ``c``.
    wrong
        What such a container does, for people.
    containers
        CEL of the list.
    """
    return Rule(
        name=name,
        reason=reason,
        expression=f"{containers}.all(c, {condition})",
        message=f"a container {wrong}",
        message_expression=f"'container ' + {containers}.filter(c, !({condition})).map(c, c.name).join(', ')"
        f" + {text(f' {wrong}')}",
    )


def nothing_at_all(name: str, reason: str, found: str, wrong: str) -> Rule:
    """Return the rule that a list of texts is empty; the message shows them after what is wrong with them.

    Parameters
    ----------
    name, reason
        Of the rule.
    found
        CEL of the list.
    wrong
        What they are, for people.
    """
    return Rule(
        name=name,
        reason=reason,
        expression=f"{found}.size() == 0",
        message=wrong,
        message_expression=f"{text(f'{wrong}: ')} + {found}.join(', ')",
    )
