"""Why somebody is not let in: what they read, and what the log has.

JupyterHub shows ``jupyterhub_message`` on the sign-in page, or on a page of its own after a provider's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.web import HTTPError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AccountGoneError",
    "AnotherAccountError",
    "BlockedError",
    "ClientRefusedError",
    "DirectoryOutageError",
    "NotAllowedError",
    "ProviderOutageError",
    "ProviderRefusalError",
    "RenamedError",
    "SignInOutageError",
    "SignInRefusedError",
]


def _ask(contact: str) -> str:
    return f"Ask {contact or 'whoever runs the lab'}."


class SignInRefusedError(HTTPError):
    """Somebody who may not enter."""

    def __init__(self, message: str, logged: str) -> None:
        super().__init__(403, "%s", logged)
        self.jupyterhub_message = message
        self.logged = logged


class NotAllowedError(SignInRefusedError):
    """Somebody who is known, and for whom the hub is not open."""

    def __init__(self, name: str, open_to: str, groups: Sequence[str] | None, contact: str) -> None:
        member = "" if groups is None else f" You are a member of {', '.join(groups) or 'no group'}."
        super().__init__(
            f"You are known as {name}, but this hub is open to {open_to}.{member} {_ask(contact)}",
            f"{name} may not enter, groups {groups}",
        )


class AnotherAccountError(SignInRefusedError):
    """Somebody whose user name was another account's."""

    def __init__(self, name: str, now: str | None, before: str, contact: str) -> None:
        super().__init__(
            f"The name {name} belonged to another account of this hub, whose servers and settings would become yours. "
            f"Nothing of either was changed. {_ask(contact)} They can delete the old user {name} here.",
            f"{name} is now another account ({now}, before {before}): delete the hub's user to admit it",
        )


class RenamedError(SignInRefusedError):
    """Somebody whose account has another user name now."""

    def __init__(self, name: str, now: str) -> None:
        super().__init__(
            f"Your account is called {now} now: sign in again, under that name.",
            f"the account of {name} is now called {now}",
        )


class AccountGoneError(SignInRefusedError):
    """Somebody whose account was closed while they were signed in."""

    def __init__(self, name: str, contact: str) -> None:
        super().__init__(
            f"There is no account {name} any more, or it was closed. {_ask(contact)}", f"the account of {name} is gone"
        )


class BlockedError(SignInRefusedError):
    """Somebody whom the stock class blocks by name."""

    def __init__(self, name: str, contact: str) -> None:
        super().__init__(f"{name} may not enter. {_ask(contact)}", f"{name} is blocked")


class ProviderRefusalError(SignInRefusedError):
    """A provider that did not confirm who somebody is."""

    def __init__(self, code: int, error: str, contact: str) -> None:
        super().__init__(
            f"The sign-in service did not confirm who you are ({error or code}); a page that was left open for "
            f"long, or loaded twice, does that. Sign in again. If it stays like this: {_ask(contact)}",
            f"the provider answered {code} {error}",
        )


class SignInOutageError(HTTPError):
    """Nobody can be asked who somebody is."""

    def __init__(self, message: str, logged: str) -> None:
        super().__init__(503, "%s", logged)
        self.jupyterhub_message = message


class DirectoryOutageError(SignInOutageError):
    """The directory does not answer, or not as it should."""

    def __init__(self, problem: object, contact: str) -> None:
        super().__init__(
            "The lab's directory does not answer as it should. Try again in a minute. "
            f"If it stays like this: {_ask(contact)}",
            f"{problem}",
        )


class ProviderOutageError(SignInOutageError):
    """The identity provider does not answer."""

    def __init__(self, problem: object, contact: str) -> None:
        super().__init__(
            "The sign-in service does not answer at the moment. Try again in a minute. "
            f"If it stays like this: {_ask(contact)}",
            f"the provider does not answer: {problem}",
        )


class ClientRefusedError(SignInOutageError):
    """A provider that does not accept the hub itself."""

    def __init__(self, error: str, contact: str) -> None:
        super().__init__(
            "The sign-in service knows you, but does not accept this hub: its client secret has expired or was "
            f"changed. You can do nothing about it. {_ask(contact)}",
            f"the provider refuses the client id or secret ({error}): set hub.authentication.clientSecret anew",
        )
