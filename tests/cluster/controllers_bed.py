"""Real controllers beside the embedded control plane: each runs as the pod of its chart's own workload would.

A kubelet's part is played for one container of a pod that the cluster has only in name: the same arguments, variables,
mounted ConfigMaps and Secrets, and the token of the pod's ServiceAccount, so that the chart's RBAC decides what it may.
It sees a network and a root of its own (`pod_jail`): whatever address it listens on, nobody outside can reach it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from cluster_api import Api, Object, eventually

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JAIL = Path(__file__).with_name("pod_jail.py")
SERVICE_ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 7200
"""How long a token is good for: longer than any run of the tests."""
GRACE_SECONDS = 10.0
SETTLED_SECONDS = 180.0
"""How long controllers may take to settle, on a machine that is busy with other tests."""


class Relay:
    """Connections that a jailed program makes to its API server, carried to the real one.

    Parameters
    ----------
    accepting
        A listening socket of the jail's network.
    target
        Host and port of the API server.
    """

    def __init__(self, accepting: socket.socket, target: tuple[str, int]) -> None:
        self._accepting, self._target = accepting, target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._accept())
        self._loop.close()

    async def _accept(self) -> None:
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, sock=self._accepting)
        await self._stop.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            further, beyond = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(_pump(reader, beyond), _pump(further, writer))
            finally:
                beyond.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._open.discard(task)

    def close(self) -> None:
        """End every connection."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


@dataclass
class Container:
    """A running program in the place of a pod's container."""

    name: str
    process: subprocess.Popen[bytes]
    relay: Relay
    log: Path

    def end(self) -> None:
        """Return with the program gone."""
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.relay.close()

    def said(self, lines: int = 40) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def inside(self, command: Sequence[str]) -> str:
        """Run a command in the network of the program and return its output."""
        finished = subprocess.run(
            ["nsenter", f"--net=/proc/{self.process.pid}/ns/net", *command],  # noqa: S607 - util-linux, on every host
            capture_output=True,
            text=True,
            check=False,
            timeout=SETTLED_SECONDS,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout


@dataclass(frozen=True)
class PodRunner:
    """Runs containers of pods of one cluster as local processes.

    Parameters
    ----------
    api
        The cluster.
    authority
        Certificate of the authority that the API server's certificate is from.
    folder
        Where each program gets its root.
    """

    api: Api
    authority: Path
    folder: Path
    running: list[Container] = field(default_factory=list[Container])

    def pod(self, namespace: str, selector: str) -> Object:
        """Return the first pod that a label selector picks, once it is bound and has its address."""
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"

        def there() -> list[Object]:
            return [item for item in self.api.get(path)["items"] if item["status"].get("podIP")]

        eventually(there, SETTLED_SECONDS)
        return there()[0]

    def start(
        self, pod: Object, program: Path, *, arguments: Sequence[str] | None = None, **variables: str
    ) -> Container:
        """Return the program running as the first container of `pod`.

        Parameters
        ----------
        pod
            As the API server has it.
        program
            Stands in the place of the image: a static executable.
        arguments
            Instead of the container's own.
        variables
            Over the container's own.
        """
        meta, spec = pod["metadata"], pod["spec"]
        (container, *_) = spec["containers"]
        root = self.folder / meta["name"]
        self._fill(root, pod, program)
        server = urlsplit(self.api.server)
        environment = {entry["name"]: self._variable(pod, entry) for entry in container.get("env", [])}
        environment |= {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            **variables,
        }
        own = [*container.get("command", [])[1:], *container.get("args", [])] if arguments is None else arguments
        expanded = [re.sub(r"\$\((\w+)\)", lambda found: environment[found[1]], text) for text in own]
        log = root.with_suffix(".log")
        outside, inside = socket.socketpair()
        command = [sys.executable, str(JAIL), str(inside.fileno()), str(server.port), str(root), f"/{program.name}"]
        with outside, inside, log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *expanded],
                env=environment,
                pass_fds=[inside.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            inside.close()
            _, (descriptor, *_), _, _ = socket.recv_fds(outside, 1, 1)
        assert server.hostname is not None
        assert server.port is not None
        relay = Relay(socket.socket(fileno=descriptor), (server.hostname, server.port))
        made = Container(meta["name"], process, relay, log)
        self.running.append(made)
        return made

    def run(self, pod: Object, program: Path, arguments: Sequence[str]) -> str:
        """Run a program as the first container of `pod` to its end, which must be a good one; return what it said."""
        made = self.start(pod, program, arguments=arguments)
        code = made.process.wait(SETTLED_SECONDS)
        self.running.remove(made)
        made.relay.close()
        assert code == 0, made.said()
        return made.said()

    def end(self) -> None:
        """Return with everything started here gone."""
        for container in self.running:
            container.end()
        self.running.clear()

    def alive(self) -> bool:
        """Return whether everything started here still runs; fail with what was last said by one that does not."""
        for container in self.running:
            if container.process.poll() is not None:
                pytest.fail(f"{container.name} ended:\n{container.said()}")
        return True

    def _variable(self, pod: Object, entry: Object) -> str:
        if "value" in entry:
            return entry["value"]
        path: str = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        if not path:
            return ""
        *parents, last = path.split(".")
        place = pod
        for parent in parents:
            place = place.get(parent, {})
        return str(place.get(last, ""))

    def _fill(self, root: Path, pod: Object, program: Path) -> None:
        """Put into `root` what the container sees: the program, its volumes, the token of its ServiceAccount."""
        meta, spec = pod["metadata"], pod["spec"]
        shutil.rmtree(root, ignore_errors=True)
        (root / "tmp").mkdir(parents=True)
        _hard_linked(program, root / program.name)
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        # A mount may lie inside another.
        for mount in sorted(spec["containers"][0].get("volumeMounts", []), key=lambda item: len(item["mountPath"])):
            self._mount(root / mount["mountPath"].lstrip("/"), volumes[mount["name"]], meta["namespace"])
        account = root / SERVICE_ACCOUNT
        account.mkdir(parents=True, exist_ok=True)
        (account / "namespace").write_text(meta["namespace"], encoding="utf-8")
        (account / "ca.crt").write_bytes(self.authority.read_bytes())
        (account / "token").write_text(self.token(meta["namespace"], spec["serviceAccountName"]), encoding="utf-8")

    def _mount(self, target: Path, volume: Mapping[str, Object], namespace: str) -> None:
        target.mkdir(parents=True, exist_ok=True)
        base = f"/api/v1/namespaces/{namespace}"
        if "configMap" in volume:
            path = f"{base}/configmaps/{volume['configMap']['name']}"
            if volume["configMap"].get("optional") and not self.api.exists(path):
                return
            for name, text in self.api.get(path).get("data", {}).items():
                (target / name).write_text(text, encoding="utf-8")
        elif "secret" in volume:
            for name, text in self.api.get(f"{base}/secrets/{volume['secret']['secretName']}").get("data", {}).items():
                (target / name).write_bytes(base64.b64decode(text))

    def token(self, namespace: str, account: str) -> str:
        """Return a token of a ServiceAccount."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        made = self.api.post(path, {"spec": {"expirationSeconds": TOKEN_SECONDS}})
        return made["status"]["token"]


def job_like(pod: Object, account: str) -> Object:
    """Return the pod of a Job whose own is long gone: this one's, without its volumes, as another ServiceAccount."""
    meta, spec = pod["metadata"], pod["spec"]
    bare: Object = {**spec["containers"][0], "volumeMounts": []}
    return {
        **pod,
        "metadata": {**meta, "name": f"{meta['name']}-job"},
        "spec": {**spec, "serviceAccountName": account, "containers": [bare]},
    }


def _hard_linked(program: Path, target: Path) -> None:
    try:
        os.link(program, target)
    except OSError:
        shutil.copy(program, target)


def conditions(item: Object) -> dict[str, str]:
    """Return the status of each condition of an object, or of one entry of its status."""
    found: list[Object] = (item.get("status") or item).get("conditions") or []
    return {condition["type"]: condition["status"] for condition in found}


def reasons(item: Object) -> dict[str, str]:
    """Return the reason of each condition of an object, or of one entry of its status."""
    found: list[Object] = (item.get("status") or item).get("conditions") or []
    return {condition["type"]: condition["reason"] for condition in found}
