"""KubeSpawner with a start of our own: told in words, given up without leaving anything behind, and quicker.

What differs from KubeSpawner 7.1: a claim that exists is looked at and not asked for again; a pod whose creation timed
out is recognised instead of killed; a start waits to be told of its pod's changes instead of asking with growing
pauses; whatever ends a start before its time, a cancellation included, takes its pod along; no manifest is ever logged.
"""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, cast

from aiohttp import ClientError

from .answers import answer_of
from .availability import Availability, figures, short_words, want_of
from .failures import (
    ClusterAwayError,
    HomeLeavingError,
    NotStartedError,
    ServerEndedError,
    ServerRemovedError,
    SpawnRefusedError,
    UnsupportedSpawnerError,
)
from .stages import Told, shortage_of, stage_of, trouble_of
from .upstream import KubeSpawner, shared_client
from .watching import LabEvents, LabPods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from .upstream import JsonObject
    from .waiting_line import Line, Place

__all__ = ["ATTEMPT", "LabSpawner"]

ATTEMPT = "lab.internal/attempt"
"""Annotation of a pod: which start made it. One whose answer got lost is known again by it."""
REQUEST_SECONDS = 20.0
"""For one request. KubeSpawner's 3 s are over before a busy API server answers, which has done what was asked all the
same."""
AGAIN_SECONDS = 0.5
"""Before a request that was not answered, or put off by the API server (429), is made again."""
LOOK_SECONDS = 30.0
"""After which a pod is looked at even if nobody has told of a change."""
TELL_SECONDS = 2.0
"""Between two looks at what the page should say while nothing is told: places in line, figures."""
TOLD_PER_SECOND = 20
"""Of those who wait in line, altogether, about."""
MARGIN_SECONDS = 3.0
"""By which a start ends before JupyterHub's own bound, to say why."""
TAKE_BACK_SECONDS = 60.0
"""For the pod of a start that is over to go. On a node that is away it never does; JupyterHub stops it once more."""
GONE_PAUSES = (0.05, 0.1, 0.2, 0.5)
"""Between looks whether a pod is gone; the last one repeats."""
OK, NOT_FOUND, CONFLICT, TOO_MANY, SERVER_ERROR = 200, 404, 409, 429, 500
_UNSUPPORTED = ("internal_ssl", "services_enabled", "enable_user_namespaces")


class LabSpawner(KubeSpawner):
    """A user's server."""

    line: ClassVar[Line | None] = None
    """Where starts take turns; None: nobody waits."""
    availability: ClassVar[Availability | None] = None
    names: ClassVar[Mapping[str, str]] = {}
    """What GPU resources are called."""
    contact: ClassVar[str | None] = None
    """Whom users are told to turn to."""

    place: Place | None = None
    attempt: str | None = None
    """Of the start that goes on; None where none has got as far as the API server."""

    @property
    def key(self) -> str:
        """The pod's key among those watched."""
        return f"{self.namespace}/{self.pod_name}"

    @property
    def is_in_line(self) -> bool:
        """Whether others start first."""
        return self.place is not None and not self.place.turn.done()

    def start_done(self) -> asyncio.Future[None] | None:
        """Return what is done when the start is over, however it ends."""
        return self._spawn_future

    async def _start_watching_pods(self, replace: bool = False) -> object:  # noqa: FBT001, FBT002 - KubeSpawner's own
        return await self._start_reflector(
            kind="pods",
            reflector_class=LabPods,
            labels={"component": self.component_label},
            omit_namespace=False,
            replace=replace,
        )

    async def _start_watching_events(self, replace: bool = False) -> object:  # noqa: FBT001, FBT002 - KubeSpawner's own
        return await self._start_reflector(
            kind="events",
            reflector_class=LabEvents,
            fields={"involvedObject.kind": "Pod"},
            omit_namespace=False,
            replace=replace,
        )

    async def _start(self) -> str:
        """Start the pod and return its URL once it runs."""
        for setting in _UNSUPPORTED:
            if getattr(self, setting):
                raise UnsupportedSpawnerError(setting)
        until = asyncio.get_running_loop().time() + max(1.0, self.start_timeout - MARGIN_SECONDS)
        await self.load_user_options()
        await asyncio.gather(self._start_watching_pods(), self._start_watching_events())
        await self._have_claim()
        self.attempt = attempt = secrets.token_hex(8)
        try:
            manifest = await self.get_pod_manifest()
            if self.modify_pod_hook is not None:
                found = self.modify_pod_hook(self, manifest)
                manifest = await found if asyncio.iscoroutine(found) else found
            manifest.metadata.annotations = {**(manifest.metadata.annotations or {}), ATTEMPT: attempt}
            pod = await self._create(manifest, attempt)
            pod = await self._until_running(pod["metadata"]["uid"], until)
        except BaseException:
            # Also when cancelled: JupyterHub does not stop a server whose pod it has not seen yet.
            await asyncio.shield(asyncio.ensure_future(self._take_back()))
            raise
        self.pod_id = pod["metadata"]["uid"]
        return self._get_pod_url(pod)

    async def _have_claim(self) -> None:
        if not self.storage_pvc_ensure or self._pvc_exists:
            return
        claim = await self._request(self.api.read_namespaced_persistent_volume_claim, self.pvc_name)
        if claim is None:
            self.log.info("making claim %s", self.pvc_name)
            while not await self._make_create_pvc_request(self.get_pvc_manifest(), REQUEST_SECONDS):
                self.log.warning("claim %s: no answer of the API server yet", self.pvc_name)
        elif claim["metadata"].get("deletionTimestamp"):
            raise HomeLeavingError(self.pvc_name, self.contact)
        self._pvc_exists = True

    async def _create(self, manifest: object, attempt: str) -> JsonObject:
        """Create the pod; it is there, or is not going to be, when this returns or raises."""
        creating = asyncio.ensure_future(self._created(manifest, attempt))
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            # The request is on its way. Only its answer tells whether there is something to take back.
            await asyncio.wait([creating])
            if not creating.cancelled():
                creating.exception()
            raise

    async def _created(self, manifest: object, attempt: str) -> JsonObject:
        while True:
            pod = await self._request(self.api.create_namespaced_pod, body=manifest, conflict_is_fine=True)
            if pod is not None:
                return pod
            known = await self._request(self.api.read_namespaced_pod, self.pod_name)
            if known is not None and known["metadata"].get("annotations", {}).get(ATTEMPT) == attempt:
                return known
            self.log.info("pod %s is left over from before and makes room", self.key)
            await self._delete(0)
            await self._until_gone()

    async def _until_running(self, uid: str, until: float) -> JsonObject:
        """Return the pod once it runs."""
        loop, seen = asyncio.get_running_loop(), False
        looked = loop.time()
        while True:
            pod = self.pod()
            if pod is not None and pod["metadata"]["uid"] == uid:
                seen = True
                if self.is_pod_running(pod):
                    return pod
                self._raise_if_over(pod)
                if self.place is not None and self.line is not None and shortage_of(pod) is not None:
                    # Waiting for a machine costs the hub nothing: the next in line may start.
                    self.line.leave(self.place)
            elif seen:
                raise ServerRemovedError(self.contact)
            elif loop.time() > looked + LOOK_SECONDS:
                looked = loop.time()
                if await self._request(self.api.read_namespaced_pod, self.pod_name) is None:
                    raise ServerRemovedError(self.contact)
                self.log.warning("pod %s is not seen by its watch, which begins anew", self.key)
                await self._start_watching_pods(replace=True)
                continue
            left = until - loop.time()
            if left <= 0:
                shortage = None if pod is None else shortage_of(pod)
                trouble = None if pod is None else trouble_of(pod)
                raise NotStartedError(self.start_timeout, shortage, trouble, self.contact)
            await LabPods.changes.wait(self.key, min(left, LOOK_SECONDS))

    def _raise_if_over(self, pod: JsonObject) -> None:
        status = pod.get("status", {})
        if pod["metadata"].get("deletionTimestamp"):
            raise ServerRemovedError(self.contact)
        if status.get("phase") not in {"Failed", "Succeeded"}:
            return
        for container in status.get("containerStatuses") or ():
            ended = container.get("state", {}).get("terminated")
            if ended is not None:
                raise ServerEndedError(ended.get("exitCode"), ended.get("reason", ""), self.contact)
        reason = status.get("message") or status.get("reason") or "for no known reason"
        raise ServerEndedError(None, reason, self.contact)

    def pod(self) -> JsonObject | None:
        """Return the server's pod as last seen; None without one."""
        reflector = cast("LabPods | None", self.pod_reflector)
        return None if reflector is None else reflector.resources.get(self.key)

    async def _take_back(self) -> None:
        """Remove the pod of a start that is over."""
        try:
            async with asyncio.timeout(TAKE_BACK_SECONDS):
                await self._delete(self.delete_grace_period)
                await self._until_gone()
        except Exception as problem:  # noqa: BLE001 - what ended the start is what counts; JupyterHub stops it once more
            self.log.warning("pod %s of a start that is over could not be removed: %r", self.key, problem)

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002 - JupyterHub's own
        """Delete the pod; it is gone when this returns."""
        await self._start_watching_pods()
        await self._delete(0 if now else self.delete_grace_period)
        async with asyncio.timeout(self.start_timeout):
            await self._until_gone()

    async def _delete(self, grace_seconds: int) -> None:
        self.log.info("deleting pod %s", self.key)
        await self._request(self.api.delete_namespaced_pod, self.pod_name, body={"gracePeriodSeconds": grace_seconds})

    async def _until_gone(self) -> None:
        """Return once the API server has no such pod, and its watch has told so."""
        pauses = iter(GONE_PAUSES)
        while await self._request(self.api.read_namespaced_pod, self.pod_name) is not None:
            await LabPods.changes.wait(self.key, next(pauses, GONE_PAUSES[-1]))
        async with asyncio.timeout(LOOK_SECONDS):
            while self.pod() is not None:
                await LabPods.changes.wait(self.key, GONE_PAUSES[-1])

    async def _request(
        self,
        method: Callable[..., Awaitable[object]],
        name: str | None = None,
        *,
        conflict_is_fine: bool = False,
        **named: object,
    ) -> JsonObject | None:
        """Return what the API server answers; None where there is nothing of that name, or already is.

        It is asked again while it does not answer, puts off or fails, for ``k8s_api_request_retry_timeout`` seconds.
        The answer is read as JSON: making KubeSpawner's models of it takes longer than the rest of the request.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        nothing = CONFLICT if conflict_is_fine else NOT_FOUND
        if name is not None:
            named["name"] = name
        while True:
            problem: object
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    status, answer = await answer_of(method, namespace=self.namespace, **named)
            except (OSError, ClientError) as lost:
                # TimeoutError is an OSError.
                problem = lost
            else:
                if status < 300:  # noqa: PLR2004 - every 2xx is a success
                    return answer
                if status == nothing:
                    return None
                message = str(answer.get("message", ""))
                if status != TOO_MANY and status < SERVER_ERROR:
                    self.log.warning("pod %s: the API server answered %s: %s", self.key, status, message)
                    raise SpawnRefusedError(status, message, self.contact)
                problem = f"{status} {message}"
            seconds = loop.time() - began
            if seconds > self.k8s_api_request_retry_timeout:
                self.log.warning("pod %s: no answer of the API server: %s", self.key, problem)
                raise ClusterAwayError(seconds, problem, self.contact)
            await asyncio.sleep(AGAIN_SECONDS)

    async def progress(self) -> AsyncIterator[Mapping[str, object]]:
        """Yield what the spawn page says, each time it changes."""
        said: Told | None = None
        while True:
            told = await self.told()
            if told != said:
                yield told.event()
                said = told
                # While it was sent something may have changed.
                continue
            started = self._start_future
            if started is not None and started.done() and not self._waiting_for_response and not self.is_in_line:
                return
            if self.is_in_line and self.line is not None and self.place is not None:
                # Far back the place is told less often: hundreds who wait must not hold up those who start.
                pause = TELL_SECONDS + self.line.before(self.place) / TOLD_PER_SECOND
                await asyncio.wait([self.place.turn], timeout=pause)
            else:
                await LabPods.changes.wait(self.key, TELL_SECONDS if told.waits else LOOK_SECONDS)

    async def told(self) -> Told:
        """Return what the spawn page says now."""
        if self.is_in_line and self.line is not None and self.place is not None:
            return Told.in_line(self.line.before(self.place))
        pod = self.pod()
        if pod is None or pod["metadata"].get("annotations", {}).get(ATTEMPT) != self.attempt:
            return Told.setting_up()
        events = cast("LabEvents | None", self.event_reflector)
        said = () if events is None else events.about(pod["metadata"]["uid"])
        short = shortage_of(pod)
        words = "" if short is None or short.resource is None else await self._figures()
        return stage_of(pod, said, words, contact=self.contact)

    async def _figures(self) -> str:
        want = want_of(vars_of(self))
        if want is None or self.availability is None:
            return ""
        free = await self.availability.free(want, self._pods())
        return "" if free is None else figures(want, free, self.pod_name, self.names, datetime.now(UTC))

    def _pods(self) -> Sequence[JsonObject]:
        reflector = cast("LabPods | None", self.pod_reflector)
        return () if reflector is None else list(reflector.resources.values())

    @classmethod
    async def nodes(cls) -> Sequence[JsonObject]:
        """Return the cluster's nodes.

        Raises
        ------
        SpawnRefusedError
            If the hub may not see them.
        """
        async with asyncio.timeout(REQUEST_SECONDS):
            # From the API server's cache: these are figures, not decisions.
            status, answer = await answer_of(shared_client("CoreV1Api").list_node, resource_version="0")
        if status != OK:
            raise SpawnRefusedError(status, str(answer.get("message", "")), cls.contact)
        return cast("Sequence[JsonObject]", answer["items"])

    async def _render_options_form_dynamically(self, current_spawner: LabSpawner) -> str:
        """Return the form with how many GPUs of each profile are free."""
        profiles: object = self.profile_list
        if callable(profiles):
            found = cast("Callable[[LabSpawner], object]", profiles)(current_spawner)
            profiles = await found if asyncio.iscoroutine(found) else found
        else:
            profiles = self._sorted_dict_values(profiles)
        await self._start_watching_pods()
        offered = cast("Sequence[Mapping[str, object]]", profiles)
        return self._render_options_form([await self._with_figures(profile) for profile in offered])

    async def _with_figures(self, profile: Mapping[str, object]) -> JsonObject:
        """Return a profile, how it stands with its GPUs beside it and its choices."""
        override = cast("Mapping[str, object]", profile.get("kubespawner_override") or {})
        options: JsonObject = {}
        for name, option in cast("dict[str, JsonObject]", profile.get("profile_options") or {}).items():
            choices: JsonObject = {}
            for key, choice in cast("dict[str, JsonObject]", option.get("choices") or {}).items():
                added = cast("Mapping[str, object]", choice.get("kubespawner_override") or {})
                choices[key] = {**choice, "availability": await self._standing(override, added)}
            options[name] = {**option, "choices": choices}
        shown = {**profile, "availability": await self._standing({}, override)}
        return {**shown, "profile_options": options} if options else shown

    async def _standing(self, base: Mapping[str, object], added: Mapping[str, object]) -> str:
        if self.availability is None or "extra_resource_limits" not in added:
            return ""
        want = want_of({**base, **added})
        free = None if want is None else await self.availability.free(want, self._pods())
        return "" if free is None else short_words(free)

    def _options_form_default(self) -> object:
        # Always made anew: what is free changes while the profiles do not.
        return self._render_options_form_dynamically if self.profile_list else ""


def vars_of(spawner: LabSpawner) -> Mapping[str, object]:
    """Return the settings of a server that decide on which node it may run."""
    names = ("extra_resource_limits", "node_affinity_required", "node_selector", "tolerations")
    return {name: getattr(spawner, name) for name in names}
