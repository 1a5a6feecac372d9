"""Hands a server the access token of its user's sign-in, for command-line tools: nothing else of it, and nobody else's.

JupyterHub's own way (scope ``admin:auth_state``) gives a server all that is kept of a sign-in, the refresh token with
it, which outlives the server. Here the hub keeps that and renews with it; ``keep_token.py`` asks from the pod.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

from .access_token import CONTAINER, end_of, is_good
from .upstream import APIHandler, HTTPError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .objects import HubConfiguration, Spawner, User

__all__ = ["TokenHandler", "TokenSettings", "hand_tokens", "share_hub"]

SHARED_VARIABLES = ("JUPYTERHUB_API_URL", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_USER")
"""What that container needs of its server's own variables to ask the hub."""
SERVER_SCOPE = "access:servers!server="
"""What a server's token has, and ends with ``<user>/<server>`` (``jupyterhub.user.User.spawn``)."""
HUB_CLIENT = "jupyterhub"
"""OAuth client of tokens the hub itself gives. A browser's at a server, with the same scope, has the server's."""
FORBIDDEN, NOT_FOUND, AWAY = 403, 404, 503


class TokenSettings(TypedDict):
    """What the stack file decides."""

    default: str
    """Profile of a server that was asked for without one."""
    profiles: list[str]
    """Slugs of the profiles whose servers get a token."""


class _ApiToken(Protocol):
    user: object
    client_id: str
    scopes: Sequence[str]


class _SignIn(Protocol):
    async def renewed(self, user: User, handler: object) -> bool | Mapping[str, object]: ...


class _Variable(Protocol):
    name: str


class _Container(Protocol):
    name: str
    env: list[_Variable] | None


class _PodSpec(Protocol):
    containers: Sequence[_Container]


class _Pod(Protocol):
    spec: _PodSpec


class TokenHandler(APIHandler):
    """Answers a server with its user's access token: ``GET /hub/api/users/<name>/lab-token``.

    200: ``{"access_token": ..., "expires_at": <seconds since 1970>}``; 403: not a server's own token, or its user has
    to sign in anew; 404: no server of a profile with a token; 503: there is none at the moment.
    """

    def initialize(self, settings_of_tokens: TokenSettings) -> None:
        """Take over which profiles have a token."""
        self._profiles = settings_of_tokens

    async def get(self, user_name: str) -> None:
        """Answer with the token, renewed where it is about to end."""
        user = self._user_of_server(user_name)
        state = await user.get_auth_state()
        if not is_good(state, time.time()):
            state = await self._renewed(user)
        ends = end_of(state)
        if state is None or ends is None:
            raise HTTPError(AWAY, "the identity provider does not say how long its access tokens last")
        if ends <= time.time():
            raise HTTPError(AWAY, "the identity provider gives no new access token at the moment")
        self.set_header("Cache-Control", "no-store")
        self.write(json.dumps({"access_token": state["access_token"], "expires_at": int(ends)}))

    def _user_of_server(self, user_name: str) -> User:
        token = cast("_ApiToken | None", self.get_token())
        if token is None or token.user is None or token.client_id != HUB_CLIENT or self.current_user is None:
            raise HTTPError(FORBIDDEN, "only a server's own token is answered")
        user = cast("User", self.current_user)
        if user.name != user_name:
            raise HTTPError(FORBIDDEN, "only the server of that user is answered")
        start = f"{SERVER_SCOPE}{user.name}/"
        names = [scope.removeprefix(start) for scope in token.scopes if scope.startswith(start)]
        if not names:
            raise HTTPError(FORBIDDEN, "only a server's own token is answered")
        # Never looked up where there is none: that would make one.
        servers = [user.spawners[name] for name in names if name in user.spawners]
        if not any(server.active and profile_of(server, self._profiles) is not None for server in servers):
            raise HTTPError(NOT_FOUND, "no server of a profile with a token runs by that name")
        return user

    async def _renewed(self, user: User) -> Mapping[str, object] | None:
        model = await cast("_SignIn", self.authenticator).renewed(user, self)
        if isinstance(model, bool):
            if not model:
                raise HTTPError(FORBIDDEN, "the sign-in has ended: its user has to sign in to the hub again")
            return await user.get_auth_state()
        found: Mapping[str, object] = {**model, "name": user.name}
        # A refresh token that was changed is lost unless it is written down at once.
        await self.auth_to_user(found, user)
        return cast("Mapping[str, object] | None", found.get("auth_state"))


def profile_of(spawner: Spawner, settings: TokenSettings) -> str | None:
    """Return the profile of a server where it has a token, else None."""
    slug = spawner.user_options.get("profile") or settings["default"]
    return str(slug) if slug in settings["profiles"] else None


def share_hub(spawner: Spawner, pod: _Pod, settings: TokenSettings) -> _Pod:
    """Return a server's pod, the container that keeps its token told how to ask the hub as the server does.

    Parameters
    ----------
    spawner
        The server's.
    pod
        Its manifest (``V1Pod``), which is changed.
    settings
        The chart's ``custom.lab.tokens``.
    """
    if profile_of(spawner, settings) is None:
        return pod
    server, *beside = pod.spec.containers
    shared = [each for each in server.env or () if each.name in SHARED_VARIABLES]
    for container in beside:
        if container.name == CONTAINER:
            container.env = [*(container.env or ()), *shared]
    return pod


def hand_tokens(c: HubConfiguration, settings: TokenSettings) -> None:
    """Have the hub answer servers of these profiles with a token, and their pods ask for it.

    Parameters
    ----------
    c
        The hub's configuration.
    settings
        The chart's ``custom.lab.tokens``.
    """

    def hook(spawner: Spawner, pod: _Pod) -> _Pod:
        return share_hub(spawner, pod, settings)

    c.KubeSpawner.modify_pod_hook = hook
    c.JupyterHub.extra_handlers.append(
        (r"/api/users/([^/]+)/lab-token", TokenHandler, {"settings_of_tokens": settings})
    )
