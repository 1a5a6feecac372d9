"""Ends servers whose time is up, and servers whose GPUs do nothing: a service beside the hub.

Started and restarted by the hub (``python -m lab_hub.culler``). It keeps nothing: the hub says which servers run and
what was promised them when they started (`lab_hub.limits`), and a walltime that is changed holds for servers that
start from then on. Whatever is not known for certain ends no server: an answer that does not come, a measurement that
is missing or old, a server that is younger than the time its GPUs may be idle.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, cast
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from .activity import Activity, UnusableAnswerError, ask_prometheus
from .limits import record_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .activity import GpuSettings
    from .limits import Record

__all__ = ["Culler", "CullerSettings", "Hub", "Server", "is_old_enough", "is_over", "main", "running_servers"]

TIMEOUT_SECONDS = 60
"""How long the hub may take to answer: it lists thousands of servers, and waits 10 s for one to end
(``slow_stop_timeout``)."""
AT_ONCE = 10
"""Servers that are ended at the same time, as the chart's own culler does (``--concurrency``)."""
PAGE = 200
"""Users per page of the hub's answers (``api_page_max_limit``)."""
MOST_SILENCES = 5
"""Looks in a row to which the hub did not answer, after which the service ends. A hub that was killed has not ended its
services, and the next one starts its own; one that lives starts this one anew."""
_MALFORMED = (KeyError, TypeError, ValueError)
"""What comes of reading an answer that is none of the hub's."""
NOT_FOUND, REFUSED = 404, 400
"""Answers to ending a server that is gone, and one that is just starting or stopping."""
_log = logging.getLogger("lab-culler")


class CullerSettings(TypedDict):
    """What the stack file decides, handed over in the variable LAB_CULLER."""

    everySeconds: float
    """How often it looks."""
    gpu: GpuSettings | None
    """None where idle GPUs end no server."""


@dataclass(frozen=True)
class Server:
    """A server that runs, and what was noted when it started."""

    user: str
    name: str
    """Empty for the user's default one."""
    started: datetime
    record: Record = field(compare=False)

    @property
    def label(self) -> str:
        """What a log calls it."""
        return f"{self.user}/{self.name}"


class Hub:
    """The hub's API, as far as it is used."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address.rstrip("/"), token

    async def servers(self) -> list[Server]:
        """Return every server that is up, and not just starting or stopping.

        Raises
        ------
        tornado.httpclient.HTTPError, OSError
            If the hub does not answer, or refuses.
        """
        found: list[Server] = []
        offset: int | None = 0
        while offset is not None:
            query = urlencode({"state": "ready", "offset": offset, "limit": PAGE})
            answer = cast("Mapping[str, object]", await self._ask("GET", f"/users?{query}"))
            for user in cast("Sequence[Mapping[str, object]]", answer["items"]):
                found += running_servers(user)
            following = cast("Mapping[str, Mapping[str, int] | None]", answer["_pagination"])["next"]
            offset = None if following is None else following["offset"]
        return found

    async def end(self, server: Server) -> bool:
        """End a server, unless it is another one by now; return whether it was ended.

        Raises
        ------
        tornado.httpclient.HTTPError, OSError
            If the hub does not answer, or refuses.
        """
        user = f"/users/{quote(server.user, safe='')}"
        try:
            now = cast("Mapping[str, object]", await self._ask("GET", user))
            if all(each.started != server.started for each in running_servers(now) if each.name == server.name):
                return False
            path = f"{user}/servers/{quote(server.name, safe='')}" if server.name else f"{user}/server"
            await self._ask("DELETE", path)
        except HTTPClientError as refused:
            if refused.code not in {NOT_FOUND, REFUSED}:
                raise
            return False
        return True

    async def _ask(self, method: str, path: str) -> object:
        headers = {"Authorization": f"token {self._token}", "Accept": "application/jupyterhub-pagination+json"}
        request = HTTPRequest(
            self._address + path,
            method=method,
            headers=headers,
            request_timeout=TIMEOUT_SECONDS,
            connect_timeout=TIMEOUT_SECONDS,
        )
        response = await AsyncHTTPClient().fetch(request)
        return cast("object", json.loads(response.body or b"null"))


def running_servers(user: Mapping[str, object]) -> Iterator[Server]:
    """Yield the servers of a user that are up, out of the hub's model of the user.

    A server of which nothing was noted, because it started before anything was, is not among them.
    """
    servers = cast("Mapping[str, Mapping[str, object]]", user.get("servers") or {})
    for name, server in servers.items():
        record = record_of(cast("Mapping[str, object]", server.get("user_options") or {}))
        started = server.get("started")
        if server.get("ready") and not server.get("pending") and record is not None and isinstance(started, str):
            yield Server(str(user["name"]), name, _time(started), record)


def is_over(server: Server, now: datetime) -> bool:
    """Return whether a server's walltime has ended."""
    ends = server.record["walltimeEnds"]
    return ends is not None and _time(ends) <= now


def is_old_enough(server: Server, settings: GpuSettings, now: datetime) -> bool:
    """Return whether a server has GPUs, and runs for longer than they may be idle."""
    return server.record["gpus"] > 0 and now - server.started >= timedelta(seconds=settings["idleSeconds"])


class Culler:
    """What looks at the hub's servers, and ends those whose time is up."""

    def __init__(self, hub: Hub, settings: CullerSettings) -> None:
        self._hub, self._settings = hub, settings
        self._doubts: dict[Server, str] = {}
        """What was said of servers that nothing can be concluded of: said once, not every minute."""

    async def look(self) -> list[str]:
        """Look once and end what is to be ended; return what was ended, as a log calls it.

        Raises
        ------
        tornado.httpclient.HTTPError, OSError
            If the hub does not answer.
        """
        servers = await self._hub.servers()
        now = datetime.now(UTC)
        over = {server: "its walltime has ended" for server in servers if is_over(server, now)}
        gpu = self._settings["gpu"]
        if gpu is not None:
            left = [server for server in servers if server not in over and is_old_enough(server, gpu, now)]
            over |= dict.fromkeys(await self._idle(left, gpu), f"its GPUs were idle for {gpu['idleSeconds']} s")
        return await self._end_all(over)

    async def run(self) -> None:
        """Look again and again; ends when the hub has been silent for long: it is gone, or starts this anew."""
        silences = 0
        while silences < MOST_SILENCES:
            try:
                await self.look()
                silences = 0
            except (OSError, HTTPClientError, *_MALFORMED) as problem:
                silences += 1
                _log.warning("nothing was looked at: the hub did not answer as it should: %s", problem)
            await asyncio.sleep(self._settings["everySeconds"])

    async def _idle(self, servers: Sequence[Server], settings: GpuSettings) -> list[Server]:
        """Return those whose GPUs are known to have done nothing; none where Prometheus does not say."""
        if not servers:
            return []
        try:
            seen = await ask_prometheus(settings)
        except (OSError, HTTPClientError, UnusableAnswerError) as problem:
            _log.warning("no server is ended for idle GPUs: %s: %s", settings["prometheus"], problem)
            return []
        doubts: dict[Server, str] = {}
        idle: list[Server] = []
        for server in servers:
            activity = seen.get((server.record["namespace"], server.record["pod"]), Activity())
            doubt = activity.doubt(gpus=server.record["gpus"], window_seconds=settings["idleSeconds"])
            if doubt is not None:
                doubts[server] = doubt
            elif activity.is_below(settings["thresholdPercent"]):
                idle.append(server)
        for server in doubts.keys() - self._doubts.keys():
            _log.warning("%s stays: of its GPUs %s", server.label, doubts[server])
        self._doubts = doubts
        return idle

    async def _end_all(self, over: Mapping[Server, str]) -> list[str]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def end(server: Server, reason: str) -> str | None:
            async with turns:
                try:
                    is_ended = await self._hub.end(server)
                except (OSError, HTTPClientError, *_MALFORMED) as problem:
                    _log.warning("%s could not be ended: %s", server.label, problem)
                    return None
            if is_ended:
                _log.info("%s was ended: %s", server.label, reason)
            return server.label if is_ended else None

        ended = await asyncio.gather(*(end(server, reason) for server, reason in over.items()))
        return [label for label in ended if label is not None]


def main() -> None:
    """Run the service as the hub starts it."""
    logging.basicConfig(level=logging.INFO, format="[%(levelname)1.1s %(asctime)s %(name)s] %(message)s")
    settings = cast("CullerSettings", json.loads(os.environ["LAB_CULLER"]))
    hub = Hub(_beside(os.environ["JUPYTERHUB_API_URL"]), os.environ["JUPYTERHUB_API_TOKEN"])
    asyncio.run(Culler(hub, settings).run())


def _time(text: str) -> datetime:
    """Return a time of the hub's API; without a zone it is UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _beside(address: str) -> str:
    """Return the hub's address as its own machine sees it: the way by its Service is not open to itself."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=f"localhost:{parts.port}" if parts.port else "localhost"))


if __name__ == "__main__":
    main()
