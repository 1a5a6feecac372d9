"""What the hub answers beyond JupyterHub's own pages: starting from two windows, and giving up a start.

JupyterHub refuses a second start with an error page, and cannot give up a start that goes on.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, cast

from .upstream import APIHandler, HTTPError, SpawnHandler, needs_scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .upstream import KubeSpawner

__all__ = ["HANDLERS", "CancelHandler", "StartHandler", "give_up"]

ANSWERING_SECONDS = 60.0
"""How long a request to give up a start waits for its end; it goes on when nobody waits any more."""
CHECK_PAUSE_SECONDS = 0.5
"""Between two looks whether a hub that was started anew is done with a server."""
NO_CONTENT, ACCEPTED, NOT_FOUND, CONFLICT = 204, 202, 404, 409


class CancelHandler(APIHandler):
    """Gives up a server's start: ``POST /hub/api/users/<name>/server/cancel``.

    For whoever may stop the server. 204: it is gone, or was not there; 202: it is being removed; 409: it runs, and
    whoever wants it stopped says so on the home page.
    """

    @needs_scope("delete:servers")
    async def post(self, user_name: str, server_name: str = "") -> None:
        """End the start; asked twice, both are answered when it is over."""
        user = self.find_user(user_name)
        if user is None:
            raise HTTPError(NOT_FOUND, f"no user {user_name}")
        spawner = cast("dict[str, KubeSpawner]", user.spawners).get(server_name) if _knows(user, server_name) else None
        if spawner is None or not spawner.active:
            self.set_status(NO_CONTENT)
            return
        if spawner.ready:
            self.set_status(CONFLICT)
            self.write(json.dumps({"status": CONFLICT, "message": "The server is ready already."}))
            return
        ending = give_up(self, user, server_name, spawner)
        done, _ = await asyncio.wait([ending], timeout=ANSWERING_SECONDS)
        if done:
            ending.result()
        self.set_status(NO_CONTENT if done else ACCEPTED)


def give_up(handler: APIHandler, user: object, server_name: str, spawner: KubeSpawner) -> asyncio.Task[None]:
    """Return what ends a start; the same for everybody who asks while it goes on."""
    going_on = cast("asyncio.Task[None] | None", getattr(spawner, "lab_giving_up", None))
    if going_on is None or going_on.done():
        going_on = asyncio.ensure_future(_give_up(handler, user, server_name, spawner))
        spawner.lab_giving_up = going_on
    return going_on


async def _give_up(handler: APIHandler, user: object, server_name: str, spawner: KubeSpawner) -> None:
    start = spawner._spawn_future  # noqa: SLF001 - JupyterHub gives no other access
    if start is not None and spawner._spawn_pending and not spawner._proxy_pending:  # noqa: SLF001 - as above
        handler.log.info("giving up the start of %s", spawner._log_name)  # noqa: SLF001 - as above
        # The spawner takes its pod along when it is cancelled.
        start.cancel()
    if start is not None:
        # While it is being added to the proxy, it is ready in a moment, and stopped like any other.
        await asyncio.wait([start])
        # JupyterHub's own callbacks on the same future run now.
        await asyncio.sleep(0)
    if spawner.pending == "check":
        # A hub that was started anew looks for a server that never ran; what it does not find, it stops.
        await spawner.stop(now=True)
        while spawner.pending == "check":  # noqa: ASYNC110 - JupyterHub tells nobody when it is over
            await asyncio.sleep(CHECK_PAUSE_SECONDS)
    if spawner.active and not spawner.pending:
        await handler.stop_single_user(user, server_name)
    if (stopping := _stopping(spawner)) is not None:
        await asyncio.wait([stopping])


def _stopping(spawner: KubeSpawner) -> asyncio.Future[None] | None:
    """Return what is done when a server that is being stopped is gone; None where none is."""
    # JupyterHub makes the attribute when it first stops a server.
    return cast("asyncio.Future[None] | None", getattr(spawner, "_stop_future", None))


class StartHandler(SpawnHandler):
    """Takes the spawn page's form; a start that goes on already is shown, in every window it is asked for.

    Our page's form comes here (``templates/spawn.html``); JupyterHub's own address answers as ever.
    """

    @needs_scope("servers")
    async def _post(self, user_name: str, server_name: str) -> None:
        user = self.current_user if user_name == self.current_user.name else self.find_user(user_name)
        if user is not None and _knows(user, server_name):
            spawner = cast("dict[str, KubeSpawner]", user.spawners)[server_name]
            if (stopping := _stopping(spawner)) is not None:
                # One after the other.
                await asyncio.wait([stopping])
            if self._shown(user, server_name):
                return
        await super()._post(user_name=user_name, server_name=server_name)

    async def _wrap_spawn_single_user(
        self, user: object, server_name: str, spawner: KubeSpawner, pending_url: str, options: object = None
    ) -> None:
        if self._shown(user, server_name):
            return
        try:
            await super()._wrap_spawn_single_user(user, server_name, spawner, pending_url, options)
        except HTTPError:
            # The other window was a moment earlier: JupyterHub refuses this one, and shows that one.
            if not self._shown(user, server_name):
                raise

    def _shown(self, user: object, server_name: str) -> bool:
        """Show a server that runs or starts already; return whether there is one."""
        known = cast("_User", user)
        spawner = known.spawners.get(server_name) if _knows(known, server_name) else None
        if spawner is None or not spawner.active:
            return False
        if spawner.ready:
            self.redirect(self.get_next_url(user, default=known.server_url(server_name)))
        else:
            self.redirect(self._get_pending_url(user, server_name))
        return True


if TYPE_CHECKING:
    from typing import Protocol

    class _User(Protocol):
        spawners: dict[str, KubeSpawner]

        def server_url(self, server_name: str) -> str: ...


def _knows(user: object, server_name: str) -> bool:
    """Return whether a user has such a server, without making one: looking it up would."""
    return server_name in cast("_User", user).spawners


HANDLERS: Sequence[tuple[str, type]] = (
    (r"/api/users/([^/]+)/server/cancel", CancelHandler),
    (r"/api/users/([^/]+)/servers/([^/]*)/cancel", CancelHandler),
    (r"/start", StartHandler),
    (r"/start/([^/]+)", StartHandler),
    (r"/start/([^/]+)/([^/]+)", StartHandler),
)
"""Below the hub's own prefix."""
