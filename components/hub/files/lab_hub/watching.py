"""What the hub knows of its servers' pods and of what is said about them, and telling whoever waits for a change.

KubeSpawner's own reflectors are asked again and again by everybody who waits, look at every event of the namespace for
each, and give up for good after 51 seconds without an API server. These tell of a change once, find a pod's events by
the pod, and never give up.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import TYPE_CHECKING, ClassVar

from .upstream import EventReflector, PodReflector, ResourceReflector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .upstream import JsonObject

__all__ = ["Changes", "LabEvents", "LabPods", "WatchEndedError"]

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
"""Between two attempts to reach an API server that is away: back within seconds of its return."""
WATCH_SECONDS = 120
"""Length of one watch; the next goes on where it ended."""
SILENCE_SECONDS = 15
"""Beyond a watch's length, after which a connection that says nothing is taken for dead."""
LIST_SECONDS = 900
"""After so long everything is listed anew, in case a change was never told. For 1,000 pods that is 10 MB."""
HTTP_OK = 200


class Changes:
    """Who waits for news of what."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @property
    def waiting(self) -> int:
        """How many pods somebody waits for news of."""
        return len(self._waiting)

    def tell(self, key: str) -> None:
        """Wake everybody who waits for news of one pod."""
        for future in self._waiting.pop(key, ()):
            if not future.done():
                future.set_result(None)

    def tell_all(self) -> None:
        """Wake everybody."""
        for key in list(self._waiting):
            self.tell(key)

    async def wait(self, key: str, seconds: float) -> None:
        """Return once there is news of one pod, or after so many seconds."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[key].add(future)
        try:
            await asyncio.wait([future], timeout=seconds)
        finally:
            if (others := self._waiting.get(key)) is not None:
                others.discard(future)
                if not others:
                    del self._waiting[key]


class WatchEndedError(Exception):
    """A watch that the API server has ended with a status of its own; 410: what it was to go on from is forgotten."""

    def __init__(self, status: object) -> None:
        super().__init__(f"the watch was ended: {status}")


class _Watched(ResourceReflector):
    """A reflector that tells of changes and goes on for as long as the hub lives."""

    changes: ClassVar[Changes] = Changes()
    """One for pods and events alike: whoever waits for a pod waits for what is said about it, too."""

    def take(self, kind: str, resource: JsonObject) -> None:
        """Take in one change, and tell of it."""
        metadata = resource["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        # Half of an object's size, and nothing of it is ever used here.
        metadata.pop("managedFields", None)
        if kind == "DELETED":
            self.resources.pop(key, None)
        else:
            self.resources[key] = resource
        self.changes.tell(self.told_as(key, resource))

    def told_as(self, key: str, resource: JsonObject) -> str:
        """Return the pod a change is about."""
        del resource
        return key

    def listed(self) -> None:
        """Take note that everything was listed anew."""
        self.changes.tell_all()

    async def _watch_and_update(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping:
            try:
                version = await self._list_and_update()
                self.listed()
                pause = FIRST_PAUSE_SECONDS
                await self._follow(version)
            except Exception as problem:  # noqa: BLE001 - whatever it is, the hub must not lose sight of its pods
                self.log.warning("watching %s: %r; again in %s s", self.kind, problem, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _follow(self, version: str) -> None:
        """Take in changes from a version on, one watch after the other, until it is time to list anew."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LIST_SECONDS
        while loop.time() < until and not self._stopping:
            version = await self._watch(version)

    async def _watch(self, version: str) -> str:
        where = {} if self.omit_namespace else {"namespace": self.namespace}
        response = await getattr(self.api, self.list_method_name)(
            watch=True,
            resource_version=version,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            _preload_content=False,
            _request_timeout=WATCH_SECONDS + SILENCE_SECONDS,
            **where,
        )
        try:
            if response.status != HTTP_OK:
                raise WatchEndedError(response.status)
            while line := await response.content.readline():
                change = json.loads(line)
                resource: JsonObject = change["object"]
                if change["type"] == "ERROR":
                    raise WatchEndedError(resource.get("code"))
                version = resource["metadata"]["resourceVersion"]
                if change["type"] != "BOOKMARK":
                    self.take(change["type"], resource)
        finally:
            response.close()
        return version


class LabPods(_Watched, PodReflector):
    """The pods of users' servers."""


class LabEvents(_Watched, EventReflector):
    """What is said about them."""

    def __init__(self, *given: object, **named: object) -> None:
        self._about: dict[str, dict[str, JsonObject]] = {}
        super().__init__(*given, **named)

    def about(self, uid: str) -> Sequence[Mapping[str, object]]:
        """Return the events of one pod, the latest last."""
        return sorted(self._about.get(uid, {}).values(), key=_when)

    def told_as(self, key: str, resource: JsonObject) -> str:
        """Return the pod an event is about."""
        del key
        pod = resource["involvedObject"]
        return f"{pod.get('namespace')}/{pod.get('name')}"

    def take(self, kind: str, resource: JsonObject) -> None:
        """Take in one event, found by its pod from then on."""
        uid, name = resource["involvedObject"].get("uid", ""), resource["metadata"]["name"]
        if kind != "DELETED":
            self._about.setdefault(uid, {})[name] = resource
        elif (known := self._about.get(uid)) is not None:
            known.pop(name, None)
            if not known:
                del self._about[uid]
        super().take(kind, resource)

    def listed(self) -> None:
        """Find all events by their pods anew."""
        self._about = {}
        for event in self.resources.values():
            uid, name = event["involvedObject"].get("uid", ""), event["metadata"]["name"]
            self._about.setdefault(uid, {})[name] = event
        super().listed()


def _when(event: JsonObject) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
