"""Watches the pods that this machine runs and takes each a step further, again and again."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from labctl.control_plane.client import ApiClient, tls_context
from labctl.control_plane.errors import ApiRequestError
from labctl.control_plane.pki import write_private
from labctl.control_plane.processes import ProcessTable, end_marked

from .launch import Surroundings
from .machine import isolation
from .model import RUN_LABEL, RUN_LOCALLY, Pod
from .process import PodProcess

if TYPE_CHECKING:
    from pathlib import Path

    from labctl.control_plane.client import JsonValue
    from labctl.control_plane.progress import Progress

    from .settings import AccountToken, RunnerSettings

__all__ = ["PodRunner", "alive_file", "delete_pods", "end_pods", "fresh_token", "process_table"]

TICK_SECONDS = 0.1
"""Between two looks at the processes and ports of all pods."""
SILENCE_SECONDS = 330.0
"""Of a watch, after which it is begun anew; the server is asked to end it a little before."""
AGAIN_SECONDS = 1.0
"""Between two tries to reach an API server that is away."""
TOKEN_SECONDS = 12 * 3600
"""How long a token is good for."""
RENEWAL_SECONDS = 600
"""Between two looks at the tokens; one that has less than half of its time left is replaced (as kubelets do at 80%)."""
DELETION_SECONDS = 60.0
"""For pods to end: twice the grace period of a server."""
CONNECTIONS = 4

_SELECTOR = f"labelSelector={quote(f'{RUN_LABEL}={RUN_LOCALLY}')}&fieldSelector={quote('spec.nodeName!=')}"


class _List(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    metadata: dict[str, object]
    items: tuple[dict[str, object], ...]


class _TokenStatus(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    token: str


class _TokenRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    status: _TokenStatus


class _Change(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    type: str
    pod: Annotated[dict[str, Any], Field(alias="object")]


_TOKEN = TypeAdapter(_TokenRequest)


def alive_file(directory: Path) -> Path:
    """Return the file a runner touches as long as it works."""
    return directory / "alive"


def process_table(directory: Path) -> ProcessTable:
    """Return the records of the processes of all pods."""
    return ProcessTable(directory=directory, records=directory / "run", logs=directory / "logs")


def end_pods(directory: Path) -> None:
    """Return with no process of any pod running; the pods stay in the API, and a runner starts them again."""
    # Killed at once: what they write is in files already, and nobody will answer them any more.
    end_marked(f"{directory}#")
    shutil.rmtree(directory / "run", ignore_errors=True)


def delete_pods(client: ApiClient, namespace: str) -> None:
    """Delete every pod of a namespace that a machine runs, and return when they are gone, or after DELETION_SECONDS."""
    path = f"{_pods_of(namespace)}?labelSelector={quote(f'{RUN_LABEL}={RUN_LOCALLY}')}"
    deadline = time.monotonic() + DELETION_SECONDS
    asked: set[str] = set()
    while time.monotonic() < deadline:
        listed = _List.model_validate_json(client.request("GET", path))
        pods = [Pod.model_validate(item) for item in listed.items]
        if not pods:
            return
        for pod in pods:
            if pod.metadata.uid not in asked:
                client.request("DELETE", pod.where, missing_is_fine=True)
                asked.add(pod.metadata.uid)
        time.sleep(TICK_SECONDS)


def _pods_of(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"


def fresh_token(client: ApiClient, token: AccountToken) -> None:
    """Leave a new token of a service account in its file."""
    path = f"/api/v1/namespaces/{token.namespace}/serviceaccounts/{token.account}/token"
    spec: dict[str, JsonValue] = {"spec": {"expirationSeconds": TOKEN_SECONDS}}
    body: dict[str, JsonValue] = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", **spec}
    made = _TOKEN.validate_json(client.request("POST", path, body))
    write_private(token.path, made.status.token.encode())


class PodRunner:
    """Runs the pods of one cluster that are meant for this machine.

    Parameters
    ----------
    settings
        Where, and on what.
    progress
        Told of what happens to pods.
    """

    def __init__(self, settings: RunnerSettings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        context = tls_context(authority=settings.authority, client=(settings.certificate, settings.key))
        self._client = ApiClient(server=settings.server, context=context, connections=CONNECTIONS)
        self._changes: queue.SimpleQueue[tuple[str, tuple[Pod, ...]]] = queue.SimpleQueue()
        self._pods: dict[str, PodProcess] = {}
        self._around = Surroundings(
            settings=settings,
            client=self._client,
            table=process_table(settings.directory),
            isolation=isolation(),
            progress=progress,
        )

    def run(self, stop: threading.Event) -> None:
        """Run pods until `stop`; their processes go on, and the next runner takes them over."""
        self._progress(f"pods run with isolation: {self._around.isolation}")
        threading.Thread(target=self._watch, name="watch", daemon=True).start()
        threading.Thread(target=self._renew, name="tokens", daemon=True).start()
        alive = alive_file(self._settings.directory)
        while not stop.is_set():
            self._take_changes()
            for uid, pod in list(self._pods.items()):
                pod.step()
                if pod.is_gone:
                    del self._pods[uid]
            alive.touch()

    def _take_changes(self) -> None:
        """Wait a tick for changes and take over all there are."""
        wait = TICK_SECONDS
        while True:
            try:
                kind, pods = self._changes.get(timeout=wait)
            except queue.Empty:
                return
            wait = 0.0001
            if kind == "LIST":
                self._take_list(pods)
            for pod in pods:
                known = self._pods.get(pod.metadata.uid)
                if kind == "DELETED":
                    if known is not None:
                        known.kill()
                elif known is None:
                    self._pods[pod.metadata.uid] = PodProcess(pod, self._around)
                else:
                    known.update(pod)

    def _take_list(self, pods: tuple[Pod, ...]) -> None:
        """End what is not there any more, processes of pods that nobody remembers included."""
        there = {pod.metadata.uid for pod in pods}
        for uid, pod in self._pods.items():
            if uid not in there:
                pod.kill()
        left = {folder.name for folder in self._around.pods.glob("*")} - there
        for uid in left:
            self._progress(f"pod {uid} is gone from the cluster: ending what is left of it")
            end_marked(f"{self._settings.directory}#{uid}")
            shutil.rmtree(self._around.pods / uid, ignore_errors=True)

    def _watch(self) -> None:
        pods = _pods_of(self._settings.namespace)
        while True:
            try:
                listed = _List.model_validate_json(self._client.request("GET", f"{pods}?{_SELECTOR}"))
                self._changes.put(("LIST", tuple(Pod.model_validate(item) for item in listed.items)))
                version = str(listed.metadata["resourceVersion"])
                path = f"{pods}?{_SELECTOR}&watch=1&timeoutSeconds=300&resourceVersion={version}"
                for line in self._client.lines(path, silence_seconds=SILENCE_SECONDS):
                    change = _Change.model_validate_json(line)
                    if change.type == "ERROR":
                        break
                    self._changes.put((change.type, (Pod.model_validate(change.pod),)))
            except (ApiRequestError, ValidationError, json.JSONDecodeError) as error:
                self._progress(f"watching pods: {error}")
                time.sleep(AGAIN_SECONDS)

    def _renew(self) -> None:
        while True:
            for token in self._settings.tokens:
                try:
                    age = datetime.now(UTC).timestamp() - token.path.stat().st_mtime
                    if age > TOKEN_SECONDS / 2:
                        fresh_token(self._client, token)
                except (ApiRequestError, OSError) as error:
                    self._progress(f"token of {token.namespace}/{token.account}: {error}")
            time.sleep(RENEWAL_SECONDS)
