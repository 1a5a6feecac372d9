"""Sign-in with a name and a password of the lab's directory.

Of the stock LDAPAuthenticator nothing is used: it keeps no account identifier, gives no groups to the hub, never asks
again, and holds up the whole hub while the directory is slow.
"""

# JupyterHub and its authenticators have no types, and their classes' methods differ between each other.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, cast

from traitlets import Dict, Set, Unicode

from .directory import Directory, DirectoryError
from .signin import LabSignIn
from .signin_errors import AccountGoneError, DirectoryOutageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .directory import DirectorySettings, Person
    from .signin import AuthModel, SignedInUser

__all__ = ["PASSWORD_VARIABLE", "LabLdap"]

PASSWORD_VARIABLE = "LAB_BIND_PASSWORD"  # noqa: S105 - the variable's name
"""Environment variable with the password of the entry that looks people up."""
_THREADS = ThreadPoolExecutor(8, thread_name_prefix="directory")
"""For questions to the directory, which block. Beyond eight at once they wait for each other; the hub never does."""
_Answer = TypeVar("_Answer")


class LabLdap(LabSignIn):
    """A directory's people."""

    manage_groups = True
    directory = Dict(config=True, help="How the directory is reached: `lab_hub.directory.DirectorySettings`.")
    allowed_groups = Set(Unicode(), config=True, help="Groups whose members may sign in.")

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        said = cast("DirectorySettings", self.directory)
        self._directory = Directory(said, os.environ.get(PASSWORD_VARIABLE) if said["bindDn"] else None)

    async def _known(self, _handler: object, data: Mapping[str, str] | None, **_more: object) -> AuthModel | None:
        name, password = (data or {}).get("username", ""), (data or {}).get("password", "")
        person = await self._asked(lambda: self._directory.sign_in(name, password))
        return None if person is None else _model(person)

    async def _known_still(self, user: SignedInUser, _handler: object) -> bool | AuthModel:
        person = await self._asked(lambda: self._directory.person(user.name))
        if person is None:
            raise AccountGoneError(user.name, self.contact)
        return _model(person)

    async def _is_allowed(self, username: str, authentication: AuthModel | None) -> bool:
        groups = set(authentication.get("groups") or ()) if authentication is not None else set[str]()
        return username in self.allowed_users or bool(groups & set(self.allowed_groups))

    async def _asked(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(_THREADS, question)
        except DirectoryError as problem:
            raise DirectoryOutageError(problem, self.contact) from problem


def _model(person: Person) -> AuthModel:
    known = {"account": person.account, "dn": person.dn, "name": person.name}
    return {"name": person.name, "groups": list(person.groups), "auth_state": {"ldap_user": known}}
