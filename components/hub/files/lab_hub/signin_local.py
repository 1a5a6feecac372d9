"""Sign-in without a provider: the dummy of a simulated cluster."""

# JupyterHub and its authenticators have no types, and their classes' methods differ between each other.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportIncompatibleMethodOverride=false, reportUnknownParameterType=false

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyterhub.auth import DummyAuthenticator

from .signin import LabSignIn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .signin import AuthModel, SignedInUser

__all__ = ["LabDummy"]


class LabDummy(LabSignIn, DummyAuthenticator):
    """Anybody by any name, in the groups that the stack file has that name in."""

    manage_groups = True

    async def _known(self, _handler: object, data: Mapping[str, str] | None, **_more: object) -> AuthModel | None:
        name = self.normalize_username((data or {}).get("username", ""))
        return {"name": name, "groups": self.declared_groups(name)} if name else None

    async def _known_still(self, user: SignedInUser, _handler: object) -> bool | AuthModel:
        return {"name": user.name, "groups": self.declared_groups(user.name)}
