"""Why a server was not started: each with what its user reads, what to do and whom to tell.

JupyterHub shows ``jupyterhub_message``; the log gets the rest. None of it holds a pod's manifest, which has a token.
"""

from __future__ import annotations

import json
import re
from typing import cast

from .words import Shortage, waiting_words, whom

__all__ = [
    "ClusterAwayError",
    "HomeLeavingError",
    "NotStartedError",
    "ServerEndedError",
    "ServerRemovedError",
    "SpawnRefusedError",
    "UnsupportedSpawnerError",
    "message_of",
    "refusal_words",
]

_QUOTA = re.compile(r"exceeded quota: (?P<quota>[^,]+), requested: (?P<asked>[^,]+(?:,[^,=]+=[^,]+)*?), used: ")
_POLICY = re.compile(r"ValidatingAdmissionPolicy '[^']+' with binding '[^']+' denied request: (?P<why>.+)", re.DOTALL)
_LARGER = "This server is larger or smaller than servers may be here. {tell}: its profile has to be changed."
_REFUSALS = {
    "violates PodSecurity": "This server asks for rights that no server has. {tell}: its profile has to be changed.",
    "usage per Container is ": _LARGER,
    "usage per Pod is ": _LARGER,
    "no PriorityClass with name": "The cluster lacks something every server needs. {tell}.",
}
"""Marks of the admission plug-ins' messages (PodSecurity, LimitRanger, Priority)."""
_MISUNDERSTOOD = "The cluster does not understand what this server asks for. {tell}: its profile has to be changed."
_REFUSED = "The cluster refused to start this server. {tell}."
_MISUNDERSTANDINGS = {400, 422}
_ENDINGS = {137: "it used more memory than it may", 139: "it crashed", 143: "it was told to stop"}
"""Exit codes as a shell has them: 128 and the signal."""


class UnsupportedSpawnerError(Exception):
    """A setting of KubeSpawner that `LabSpawner` does not implement; the stack's plan never makes it."""

    def __init__(self, setting: str) -> None:
        self.jupyterhub_message = "The hub is set up in a way that cannot work. Tell whoever runs the lab."
        super().__init__(f"LabSpawner does without KubeSpawner.{setting}")


class SpawnRefusedError(Exception):
    """The API server does not take the pod."""

    def __init__(self, status: int, message: str, contact: str | None) -> None:
        self.jupyterhub_message = refusal_words(status, message, contact)
        super().__init__(f"the API server answered {status}: {message}")


class ClusterAwayError(Exception):
    """The API server does not answer."""

    def __init__(self, seconds: float, problem: object, contact: str | None) -> None:
        self.jupyterhub_message = (
            f"The cluster has not answered for {seconds:.0f} seconds, so your server could not be started. "
            f"Try again in a minute; if it stays like this, tell {whom(contact)}."
        )
        super().__init__(f"no answer of the API server within {seconds:.0f} s: {problem!r}")


class HomeLeavingError(Exception):
    """The home's claim is being deleted: a server on it would wait for ever."""

    def __init__(self, claim: str, contact: str | None) -> None:
        self.jupyterhub_message = (
            f"Your home folder is being removed by an administrator. Tell {whom(contact)} about {claim}."
        )
        super().__init__(f"claim {claim} is being deleted")


class NotStartedError(Exception):
    """A server that has not come up in time."""

    def __init__(self, seconds: float, shortage: Shortage | None, trouble: str | None, contact: str | None) -> None:
        minutes = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"  # noqa: PLR2004 - two minutes
        why = trouble or ("" if shortage is None else waiting_words(shortage, contact=contact).partition(". ")[0] + ".")
        self.jupyterhub_message = " ".join(
            filter(None, (f"Your server did not start within {minutes} and was given up.", why))
        ) + (
            " Try again later, or choose another kind of server."
            if shortage is not None
            else f" Try again; if it happens again, tell {whom(contact)}."
        )
        super().__init__(f"not running after {seconds:.0f} s: {why or 'no reason known'}")


class ServerEndedError(Exception):
    """A server that ended before it was ready."""

    def __init__(self, exit_code: int | None, reason: str, contact: str | None) -> None:
        known = _ENDINGS.get(exit_code or 0, f"its exit code is {exit_code}" if exit_code is not None else reason)
        self.jupyterhub_message = (
            f"Your server ended right after it began: {known}. "
            f"If it happens again, choose a larger one, or tell {whom(contact)}."
        )
        super().__init__(f"the server ended while it started: {reason} ({exit_code})")


class ServerRemovedError(Exception):
    """A pod that somebody else deleted while it started."""

    def __init__(self, contact: str | None) -> None:
        self.jupyterhub_message = (
            "Your server was removed while it started: its machine was needed for something more urgent, or is being "
            f"serviced. Start it again; if it happens again, tell {whom(contact)}."
        )
        super().__init__("the pod was deleted while it started")


def refusal_words(status: int, message: str, contact: str | None) -> str:
    """Return what a refusal of the API server means to whoever wanted a server.

    Parameters
    ----------
    status
        HTTP status.
    message
        Of the API server's answer.
    contact
        Whom to tell.
    """
    tell = f"Tell {whom(contact)}"
    if (match := _QUOTA.search(message)) is not None:
        return (
            f"The lab's servers together may use no more at the moment ({match['asked'].strip()} was asked for). "
            f"Start a smaller one, or try again when somebody has stopped theirs. {tell} if it stays like this."
        )
    if (match := _POLICY.search(message)) is not None:
        return f"This server is not allowed: {match['why'].strip().rstrip('.')}. {tell} if you think it should be."
    for mark, words in _REFUSALS.items():
        if mark in message:
            return words.format(tell=tell)
    return (_MISUNDERSTOOD if status in _MISUNDERSTANDINGS else _REFUSED).format(tell=tell)


def message_of(body: str) -> str:
    """Return the message of an API server's answer that is a ``Status``; the text itself where it is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return body[:500]
    return str(cast("dict[str, object]", found).get("message", body[:500])) if isinstance(found, dict) else body[:500]
