"""Whom a server runs as: its user's own ids, and files in it that say so.

No privilege is needed: Kubernetes starts the container with the ids, over any image, and ``/etc/passwd`` and
``/etc/group`` are two of the pod's own annotations, mounted by the downward API. The admission policy of the namespace
holds the same ids against the table by itself; what stands here only makes the pod, it does not prove it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from .identities import ForeignIdsError, IdentitiesAwayError, NoIdentityError, UnusableClaimsError, within
from .identity import group_file, passwd_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from .identities import Found, IdentitySettings, IdentitySource
    from .identity import Identity
    from .objects import HubConfiguration, Logger, Spawner, Step

__all__ = [
    "GROUP_ANNOTATION",
    "IDENTITY_ANNOTATION",
    "PASSWD_ANNOTATION",
    "Dressed",
    "literally",
    "refuse_without_identity",
    "wear_identity",
]

IDENTITY_ANNOTATION = "lab.internal/identity"
"""Key of the user's row, which the admission policy looks up."""
PASSWD_ANNOTATION = "lab.internal/passwd"  # noqa: S105 - the file's name
GROUP_ANNOTATION = "lab.internal/group"
"""Text of the two files."""


_SignIn = dict[str, object]
"""What an authenticator found out: ``name``, ``auth_state``, and so on."""
_Hook: TypeAlias = "Callable[[_Authenticator, object, _SignIn], Awaitable[_SignIn] | _SignIn]"
"""An authenticator's ``post_auth_hook``."""


class Dressed(Protocol):
    """What is set of KubeSpawner."""

    uid: object
    gid: object
    fs_gid: object
    supplemental_gids: object
    pod_security_context: Mapping[str, object]
    container_security_context: Mapping[str, object]
    extra_annotations: Mapping[str, str]
    environment: Mapping[str, object]


class _Authenticator(Protocol):
    log: Logger


def wear_identity(settings: IdentitySettings, source: IdentitySource) -> Step:
    """Return what has a server run as its user, and refuses the server of whoever has no ids.

    Parameters
    ----------
    settings
        The chart's ``custom.lab.identity``.
    source
        Where ids are looked up.
    """

    async def step(spawner: Spawner) -> None:
        found = await _found(source, spawner.user.name, await spawner.user.get_auth_state(), spawner.log, settings)
        _dress(cast("Dressed", spawner), found, settings)
        identity = found.identity
        spawner.log.info("%s runs as %s:%s %s", identity.username, identity.uid, identity.gid, list(identity.gids))

    return step


def refuse_without_identity(c: HubConfiguration, settings: IdentitySettings, source: IdentitySource) -> None:
    """Have nobody sign in who has no ids; say so to them. An authenticator's hook that is there already is asked first.

    Parameters
    ----------
    c
        The hub's configuration.
    settings
        The chart's ``custom.lab.identity``; where it does not require ids, nothing changes.
    source
        Where ids are looked up.
    """
    if not settings["required"]:
        return
    # Asked as of a mapping: an attribute that is not there would be made.
    before = cast("_Hook | None", c.Authenticator.get("post_auth_hook"))

    async def hook(authenticator: _Authenticator, handler: object, sign_in: _SignIn) -> _SignIn:
        if before is not None:
            asked = before(authenticator, handler, sign_in)
            sign_in = asked if isinstance(asked, dict) else await asked
        state = cast("Mapping[str, object] | None", sign_in.get("auth_state"))
        try:
            await _found(source, str(sign_in["name"]), state, authenticator.log, settings)
        except (NoIdentityError, ForeignIdsError, UnusableClaimsError) as refusal:
            authenticator.log.warning("sign-in refused: %s", refusal)
            raise _forbidden(refusal.jupyterhub_message) from refusal
        except IdentitiesAwayError as refusal:
            authenticator.log.warning("sign-in refused: %s", refusal)
            raise _forbidden(refusal.jupyterhub_message, status=503) from refusal
        return sign_in

    c.Authenticator.post_auth_hook = hook


def literally(text: str) -> str:
    """Return a text that KubeSpawner, which fills in braces, leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")


async def _found(
    source: IdentitySource,
    username: str,
    auth_state: Mapping[str, object] | None,
    log: Logger,
    settings: IdentitySettings,
) -> Found:
    found = await source.find(username, auth_state, log)
    if found is None:
        raise NoIdentityError(username)
    within(found.identity, settings)
    return found


def _forbidden(message: str, status: int = 403) -> Exception:
    """Return what the hub shows as a page with this message."""
    make = cast("Callable[[int, str], Exception]", import_module("tornado.web").HTTPError)
    return make(status, message)


def _dress(server: Dressed, found: Found, settings: IdentitySettings) -> None:
    identity = found.identity
    gids = list(identity.gids)
    server.uid, server.gid, server.supplemental_gids = identity.uid, identity.gid, gids
    # A group for all files would be handed to everybody; what is shared is shared by groups of people.
    server.fs_gid = None
    kept = {key: value for key, value in server.pod_security_context.items() if not key.startswith("fsGroup")}
    ids = {"runAsUser": identity.uid, "runAsGroup": identity.gid}
    server.pod_security_context = {
        **kept,
        **ids,
        "supplementalGroups": gids,
        # What an image's own /etc/group says of its user is no business of the lab's files.
        "supplementalGroupsPolicy": "Strict",
    }
    # A container's goes before its pod's, and before `uid` (KubeSpawner, ``make_pod``).
    server.container_security_context = {**server.container_security_context, **ids}
    home, shell = settings["home"], settings["shell"]
    server.extra_annotations = {
        **server.extra_annotations,
        IDENTITY_ANNOTATION: identity.key,
        PASSWD_ANNOTATION: literally(passwd_file(identity, home, shell)),
        GROUP_ANNOTATION: literally(group_file(identity, found.primary)),
    }
    server.environment = {**server.environment, **_variables(identity, home, shell)}


def _variables(identity: Identity, home: str, shell: str) -> Mapping[str, str]:
    """Return what programs are told of their user; ``NB_*`` is what Jupyter's images look at (docker-stacks)."""
    name = literally(identity.username)
    return {
        "HOME": home,
        "SHELL": shell,
        "USER": name,
        "LOGNAME": name,
        "NB_USER": name,
        "NB_UID": str(identity.uid),
        "NB_GID": str(identity.gid),
    }
