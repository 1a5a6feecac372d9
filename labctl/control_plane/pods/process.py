"""One pod as processes of this machine, from its binding to its end: one step at a time, none of which waits."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.control_plane.cache import tail_of
from labctl.control_plane.client import PatchType
from labctl.control_plane.errors import ApiRequestError
from labctl.control_plane.processes import ProcessRecord, end_marked, ended

from .errors import MissingCommandError, PodError, RootUserError
from .launch import PodRoom, Surroundings
from .machine import Isolation, answers, free_address
from .status import ContainerState, event, now, status_patch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.control_plane.client import JsonValue

    from .model import Pod

__all__ = ["PodProcess"]

RETRY_SECONDS = 1.0
"""Between two tries of what may still come: a claim that is not bound, a ConfigMap that is not there."""


class PodProcess:
    """A pod bound to a simulated node, as processes.

    Parameters
    ----------
    pod
        As it was read first.
    around
        What all pods share.
    """

    def __init__(self, pod: Pod, around: Surroundings) -> None:
        self.pod = pod
        self.is_gone = False
        """Whether nothing is left of it, here or in the API."""
        self._around = around
        self._folder = around.pods / pod.metadata.uid
        self._since = now()
        self._address = pod.status.pod_ip
        self._room: PodRoom | None = None
        self._states = [
            *(ContainerState(container=each, is_init=True) for each in pod.spec.init_containers),
            *(ContainerState(container=each) for each in pod.spec.containers),
        ]
        self._records: dict[str, ProcessRecord] = {}
        self._left_out: set[str] = set()
        self._phase = pod.status.phase or "Pending"
        self._told: object = None
        self._events: set[tuple[str, str]] = set()
        self._not_before = 0.0
        self._kill_at: float | None = None

    def update(self, pod: Pod) -> None:
        """Take over the pod as it is now; files out of it follow."""
        self.pod = self._with_address(pod) if self._address else pod
        if self._room is not None:
            with contextlib.suppress(PodError):
                self._room.write_files(self.pod, own_only=True)

    def step(self) -> None:
        """Do what can be done now."""
        if self.is_gone or time.monotonic() < self._not_before:
            return
        try:
            if self.pod.metadata.deletion_timestamp is not None:
                self._end()
            elif self._phase in {"Pending", "Running"}:
                self._go_on()
        except PodError as error:
            self._not_before = time.monotonic() + RETRY_SECONDS
            is_final = isinstance(error, MissingCommandError | RootUserError)
            self._say(error.reason, str(error), is_warning=True)
            if is_final:
                self._fail(error.reason, str(error))
            else:
                self._report(reason=error.reason, message=str(error))
        except ApiRequestError as error:
            # Away, or the pod is: the watch tells.
            self._not_before = time.monotonic() + RETRY_SECONDS
            self._around.progress(f"{self.pod.metadata.name}: {error}")

    def kill(self) -> None:
        """Leave none of its processes and nothing of what lived with it."""
        for name in [state.container.name for state in self._states]:
            record = self._records.get(name) or self._around.table.find(self._component(name), self._around.progress)
            if record is not None:
                _signal(record, signal.SIGKILL)
        self._clean()

    def _go_on(self) -> None:
        if self._room is None:
            self._room = self._prepare()
        self._notice_ends()
        for index, state in enumerate(self._states):
            if state.container.name in self._left_out or state.exit_code == 0:
                continue
            if state.exit_code is not None:
                self._fail(state.reason or "Error", state.message)
                return
            if not state.runs:
                self._start(index, self._room)
            if state.is_init and state.container.restart_policy != "Always":
                self._report()
                return
        main = [state for state in self._states if not state.is_init and state.container.name not in self._left_out]
        if main and all(state.exit_code == 0 for state in main):
            self._finish("Succeeded")
            return
        self._phase = "Running"
        for index, state in enumerate(self._states):
            ports = state.container.ports
            if state.runs and not state.is_ready:
                is_ready = not ports or answers(self._address, ports[0].container_port)
                self._states[index] = replace(state, is_ready=is_ready)
        self._report()

    def _prepare(self) -> PodRoom:
        port = next((each.container_port for item in self.pod.spec.containers for each in item.ports), None)
        if not self._address:
            self._address = free_address(self.pod.metadata.uid, port)
        self.pod = self._with_address(self.pod)
        room = PodRoom(self.pod, self._around)
        for remark in room.remarks:
            self._say("NotMounted", remark, is_warning=True)
        return room

    def _with_address(self, pod: Pod) -> Pod:
        status = pod.status.model_copy(update={"pod_ip": self._address, "host_ip": "127.0.0.1"})
        return pod.model_copy(update={"status": status})

    def _component(self, container: str) -> str:
        return f"{self.pod.metadata.name}.{self.pod.metadata.uid[:8]}.{container}"

    def _start(self, index: int, room: PodRoom) -> None:
        """Start a container, or take over its process that runs already."""
        state = self._states[index]
        name = state.container.name
        record = self._around.table.find(self._component(name), self._around.progress)
        if record is None:
            try:
                record = room.launch(self.pod, state.container)
            except MissingCommandError as error:
                if index == len(self.pod.spec.init_containers):
                    raise
                # A sidecar, or what prepares something: its image is not run, and the pod goes on without it.
                self._left_out.add(name)
                self._say("NotRun", str(error), is_warning=True)
                return
            self._say("Started", f"container {name} is process {record.pid} of this machine")
        before = {each.name: each.restart_count for each in self.pod.status.container_statuses}
        self._records[name] = record
        self._states[index] = replace(state, started_at=now(), restarts=before.get(name, 0))

    def _notice_ends(self) -> None:
        for index, state in enumerate(self._states):
            record = self._records.get(state.container.name)
            if not state.runs or record is None:
                continue
            code = _exit_code(record)
            if code is None:
                continue
            log = self._around.table.log_of(self._component(state.container.name))
            self._around.table.forget(self._component(state.container.name))
            message = "" if code == 0 else f"exit status {code}; the end of {log}:\n{tail_of(log, lines=5)}"
            self._states[index] = replace(
                state, exit_code=code, is_ready=False, message=message[-2000:], finished_at=now()
            )

    def _fail(self, reason: str, message: str) -> None:
        self._finish("Failed", reason, message)
        self._say("Failed", message or reason, is_warning=True)

    def _finish(self, phase: str, reason: str = "", message: str = "") -> None:
        for record in self._records.values():
            _signal(record, signal.SIGKILL)
        self._phase = phase
        self._report(reason=reason, message=message)

    def _end(self) -> None:
        """End the processes as a kubelet does: asked first, killed when the pod's time is over; then the pod goes."""
        running = [
            record
            for state in self._states
            if (record := self._records.get(state.container.name) or self._adopted(state)) is not None
            and _exit_code(record) is None
        ]
        if self._kill_at is None:
            grace = self.pod.metadata.deletion_grace_period_seconds
            self._kill_at = time.monotonic() + (30 if grace is None else grace)
            for record in running:
                _signal(record, signal.SIGTERM)
        elif time.monotonic() > self._kill_at:
            for record in running:
                _signal(record, signal.SIGKILL)
        if running:
            return
        body: dict[str, JsonValue] = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.pod.metadata.uid}}
        self._around.client.request("DELETE", self.pod.where, body, missing_is_fine=True)
        self._clean()

    def _adopted(self, state: ContainerState) -> ProcessRecord | None:
        record = self._around.table.find(self._component(state.container.name), self._around.progress)
        if record is not None:
            self._records[state.container.name] = record
        return record

    def _clean(self) -> None:
        for state in self._states:
            self._around.table.forget(self._component(state.container.name))
        if self._around.isolation is Isolation.NONE:
            # Without a namespace of processes that ends with its first one, kernels and terminals may be left.
            end_marked(f"{self._around.settings.directory}#{self.pod.metadata.uid}")
        shutil.rmtree(self._folder, ignore_errors=True)
        self.is_gone = True

    def _report(self, *, reason: str = "", message: str = "") -> None:
        shown: Sequence[ContainerState] = [
            replace(state, reason=state.reason or reason, message=state.message or message)
            for state in self._states
            if state.container.name not in self._left_out
        ]
        if self._told == (said := (self._phase, reason, message, tuple(shown))):
            return
        patch = status_patch(
            self.pod,
            shown,
            phase=self._phase,
            address=self._address,
            since=self._since,
            reason=reason if self._phase == "Failed" else "",
            message=message,
        )
        self._around.client.request(
            "PATCH", f"{self.pod.where}/status", patch, patch_type=PatchType.STRATEGIC, missing_is_fine=True
        )
        self._told = said

    def _say(self, reason: str, message: str, *, is_warning: bool = False) -> None:
        """Tell the pod's user by an event; once, however often it is tried again."""
        key = (reason, message)
        if key in self._events:
            return
        self._events.add(key)
        self._around.progress(f"{self.pod.metadata.namespace}/{self.pod.metadata.name}: {reason}: {message}")
        path = f"/api/v1/namespaces/{self.pod.metadata.namespace}/events"
        with contextlib.suppress(ApiRequestError):
            self._around.client.request("POST", path, event(self.pod, reason, message, is_warning=is_warning))


def _signal(record: ProcessRecord, number: signal.Signals) -> None:
    """Send it to the process and its children: `unshare` itself heeds nothing but SIGKILL, which ends them all."""
    if not ended(record):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(record.pid, number)


def _exit_code(record: ProcessRecord) -> int | None:
    """Return how a process ended; None while it runs, 255 where nobody knows."""
    with contextlib.suppress(ChildProcessError):
        pid, status = os.waitpid(record.pid, os.WNOHANG)
        if pid == record.pid:
            code = os.waitstatus_to_exitcode(status)
            # As a shell, and so a container runtime, counts signals.
            return code if code >= 0 else 128 - code
    return 255 if ended(record) else None
