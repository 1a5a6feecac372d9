"""Inventories of 3 to 1,000 hosts without one of them: the ordinary component, its SSH answered in this process."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import pulumi

from components.networks import Networks
from components.nodes.bootstrap_plan import bootstrap_steps, in_order
from components.nodes.component import NodeBootstrap, NodeBootstrapArgs
from components.nodes.config import NodesConfig
from components.nodes.settings import ClusterSettings
from components.nodes.steps import INSTALLATION, PlainValue, Step, compose
from labctl.engine.operations import deploy
from labctl.engine.providers.command import CommandFactory
from labctl.engine.registry import ProviderRegistry
from labctl.engine.run import Run
from labctl.engine.state import FileBackend, Passphrase, Snapshot, UpdateKind, open_stack
from labctl.graph.program import Program
from labctl.ssh import Connector, Ending, Finished, Target
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

from .measure import ROOT, Measured, Stopwatch, peak_mebibytes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from threading import Event

    from components.secrets import SecretRef
    from labctl.ssh import Stream

__all__ = ["inventory"]

SIZES = (3, 10, 100, 1000)
"""Hosts of the inventories: 3 and 1,000 are compared for what one host more costs, the last three per resource."""
FULL_CONTROL_PLANE = 10
"""From this size on an inventory has three control-plane hosts, below it one."""
LATER_HOST = "n-mid"
"""The host that is added: its name stands between others', where a plan that counted positions would go wrong."""
RESULT_CHARACTERS = {"ca": 1500, "certificate": 1500, "csr": 1300, "kubeconfig": 7500, "pki": 12000, "recipient": 1500}
"""What the real steps' results take in base64; only the control plane's admissions have ``pki`` and ``recipient``."""
KEY_CHARACTERS = 400
"""An ed25519 private key as ssh-keygen writes it: it is in every resource's connection."""
RUN_STEP = re.compile(rb"^run_step (\S+) \"\$@\"$", re.MULTILINE)
STEP_HOST = re.compile(rb"^readonly STEP_HOST=(\S+)$", re.MULTILINE)
ROUNDING = 1.15
"""How much more a resource of the largest inventory may take than one of ten hosts before it is called more."""


@dataclass
class Answering(Connector):
    """SSH to hosts that do not exist: every step succeeds at once, and is counted."""

    commands: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Address it was sent to, and the step's name; in the order in which they came."""

    def __post_init__(self) -> None:
        """Be a connector that has made no connection."""
        super().__init__()
        self._lock = Lock()

    def run(  # noqa: PLR0913 - the method it stands for
        self,
        target: Target,
        command: str,
        *,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        hints: Mapping[str, str] | None = None,
        on_line: Callable[[Stream, str], None] | None = None,
        on_refused: Callable[[str], None] | None = None,
        cancelled: Event | None = None,
        timeout_seconds: float | None = None,
    ) -> Finished:
        """Return the report a step would make; its results are texts as long as the real ones, the same every time."""
        del command, environment, hints, on_line, on_refused, cancelled, timeout_seconds
        step, host = RUN_STEP.search(stdin), STEP_HOST.search(stdin)
        assert host is not None, stdin[:200]
        name = INSTALLATION if step is None else step[1].decode()
        with self._lock:
            self.commands.append((target.host, name))
        results = _results(name, is_plane=host[1].startswith(b"cp-") and b"ROLE=worker" not in stdin)
        report: dict[str, object] = {
            "step": name,
            "host": host[1].decode(),
            "mode": "apply",
            "changed": (),
            "result": results,
        }
        line = json.dumps(report).encode() + b"\n"
        return Finished(0, Ending.ITSELF, line, b"", line)


def _results(step: str, *, is_plane: bool) -> dict[str, str]:
    """Return what a step tells its dependents."""
    keys = {
        "request": ("csr", *(("recipient",) if is_plane else ())),
        "admit": ("ca", "certificate", *(("pki",) if is_plane else ())),
        "cluster": ("ca",),
        "kubeconfig": ("kubeconfig",),
    }.get(step, ())
    texts = {key: base64.b64encode(key.encode() * RESULT_CHARACTERS[key])[: RESULT_CHARACTERS[key]] for key in keys}
    flags = {"request": {"holds_cluster": "false", "member": "false"}}.get(step, {})
    return {**{key: text.decode() for key, text in texts.items()}, **flags}


def lab_of(count: int, *, one_more: bool = False) -> tuple[NodesConfig, ClusterSettings]:
    """Return a lab of `count` hosts, and one worker more if asked: as a stack file would have it, validated."""
    planes = 3 if count >= FULL_CONTROL_PLANE else 1
    names = [f"cp-{index}" for index in range(planes)] + [f"n-{index:04d}" for index in range(count - planes)]
    if one_more:
        names.append(LATER_HOST)
    first = int(ip_address("10.20.0.10"))
    hosts = {
        name: {
            "address": str(ip_address(first + (index if name != LATER_HOST else 2**15))),
            "roles": ["control-plane" if name.startswith("cp-") else "worker"],
            "hostKey": _host_key(name),
            "hardware": {"cpus": 64, "memory": "512Gi", "ephemeralStorage": "1T"},
        }
        for index, name in enumerate(names)
    }
    section = {
        "ssh": {"user": "ubuntu", "privateKey": {"secret": "sshPrivateKey"}},
        "endpoint": {"address": "10.20.0.5"},
        "hosts": hosts,
    }
    settings = ClusterSettings(
        name="inventory",
        hosts=Networks.of("10.20.0.0/16"),
        pods=Networks.of("10.128.0.0/12"),
        services=Networks.of("10.96.0.0/16"),
        domain="cluster.local",
        pins=load_pins(EnvironmentName.PROD),
    )
    return NodesConfig.model_validate(section, by_alias=True), settings


def _host_key(name: str) -> str:
    """Return a public key line of a host that will never show it."""
    kind = b"ssh-ed25519"
    key = hashlib.sha256(name.encode()).digest()
    blob = len(kind).to_bytes(4, "big") + kind + len(key).to_bytes(4, "big") + key
    return f"{kind.decode()} {base64.b64encode(blob).decode()}"


def program_of(config: NodesConfig, settings: ClusterSettings) -> Program:
    """Return a program with the component that bootstraps hosts, and nothing else."""

    def secret(reference: SecretRef) -> pulumi.Output[str]:
        return pulumi.Output.secret(reference.secret.ljust(KEY_CHARACTERS, "k"))

    def entry() -> None:
        args = NodeBootstrapArgs(config=config, project=ROOT, secret=secret, settings=settings)
        pulumi.export("kubeconfig", NodeBootstrap("bootstrap", args).kubeconfig)

    return Program(project="bench", stack="inventory", entry=entry)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one inventory took; times in seconds of processor, memory in MiB, sizes in bytes."""

    hosts: int
    resources: int
    planning: float
    ordering: float
    composing: float
    preview: float
    preview_memory: float
    up: float
    up_memory: float
    state: int
    again: float
    commands: int
    """Run by the first `up`."""
    commands_again: int
    """Run by the second, of which there should be none."""
    more: int
    """Run when a host was added."""
    more_on: Mapping[str, int]
    """By where they ran: on the new host, on a control plane, on any other worker."""
    more_seconds: float


def inventory() -> Iterator[Measured]:
    """Measure every size in a process of its own, which has its memory for itself, and compare them."""
    figures = {count: _measured_alone(count) for count in SIZES}
    for found in figures.values():
        yield from _told(found)
    few, many = figures[SIZES[0]], figures[SIZES[-1]]
    same = "the same number" if few.more == many.more else "NOT the same number"
    yield Measured(
        f"commands for one host more, of {few.hosts} and of {many.hosts}", f"{few.more} and {many.more}", same
    )
    assert few.more == many.more, "a host more costs more commands the more hosts there are"
    for found in figures.values():
        assert found.more_on.get("other", 0) == 0, f"a host more asks other workers something: {found.more_on}"
        assert found.commands_again == 0, f"{found.commands_again} commands ran although nothing had changed"
    base = figures[SIZES[1]]
    for what, of in _PER_RESOURCE.items():
        ratio = of(many) / of(base)
        verdict = "the same" if ratio <= ROUNDING else "MORE"
        yield Measured(f"{what} per resource, {many.hosts} hosts to {base.hosts}", f"{ratio:.2f}", verdict)


_PER_RESOURCE: dict[str, Callable[[Figures], float]] = {
    "planning": lambda found: found.planning / found.resources,
    "preview": lambda found: found.preview / found.resources,
    "up": lambda found: found.up / found.resources,
    "nothing to do": lambda found: found.again / found.resources,
    "state": lambda found: found.state / found.resources,
}


def _told(found: Figures) -> Iterator[Measured]:
    hosts, resources = f"{found.hosts} hosts", found.resources
    each = 1000 / resources
    yield Measured(
        f"{hosts}, planned",
        f"{found.planning * each:.3f} ms per resource ({resources}; in_order {found.ordering * each:.3f}, "
        f"compose {found.composing * each:.3f})",
    )
    yield Measured(f"{hosts}, preview", f"{found.preview:.2f} s, {found.preview * each:.2f} ms per resource")
    yield Measured(f"{hosts}, preview, memory", f"{found.preview_memory * 1024 / resources:.0f} KiB per resource")
    yield Measured(
        f"{hosts}, up", f"{found.up:.2f} s, {found.up * each:.2f} ms per resource, {found.commands} commands"
    )
    yield Measured(f"{hosts}, up, memory", f"{found.up_memory * 1024 / resources:.0f} KiB per resource")
    yield Measured(
        f"{hosts}, state file", f"{found.state / 2**20:.1f} MiB, {found.state / 1024 / resources:.1f} KiB per resource"
    )
    yield Measured(f"{hosts}, nothing to do", f"{found.again:.2f} s, {found.again * each:.2f} ms per resource")
    places = ", ".join(f"{count} on the {where}" for where, count in sorted(found.more_on.items()))
    yield Measured(f"{hosts}, one more", f"{found.more_seconds:.2f} s, {found.more} commands: {places}")


def _measured_alone(count: int) -> Figures:
    """Return what an inventory takes, measured by a process of its own."""
    command = [sys.executable, "-m", f"{__package__}.hosts_inventory", str(count)]
    ended = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
    return Figures(**json.loads(ended.stdout.splitlines()[-1]))


def measure(count: int) -> Figures:
    """Return what an inventory of `count` hosts takes in this process."""
    config, settings = lab_of(count)
    with _processor_time() as planning:
        steps = bootstrap_steps(config, settings)
    with _processor_time() as ordering:
        in_order(steps)
    with _processor_time() as composing:
        for step in steps:
            if step.name != INSTALLATION:
                compose(step, _plain(step))
    before = _resident_mebibytes()
    with _processor_time() as previewing:
        planned = deploy(program_of(config, settings), Run(providers=_providers(Answering())))
    assert not planned.failures, planned.failures[:3]
    preview_memory = peak_mebibytes() - before
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        files = Path(folder)
        first = _up(files, program_of(config, settings))
        up_memory = peak_mebibytes() - before
        size = _state_bytes(files)
        again = _up(files, program_of(config, settings))
        more_config, _ = lab_of(count, one_more=True)
        more = _up(files, program_of(more_config, settings))
    return Figures(
        hosts=count,
        resources=len(steps),
        planning=planning.seconds,
        ordering=ordering.seconds,
        composing=composing.seconds,
        preview=previewing.seconds,
        preview_memory=preview_memory,
        up=first.seconds,
        up_memory=up_memory,
        state=size,
        again=again.seconds,
        commands=len(first.commands),
        commands_again=len(again.commands),
        more=len(more.commands),
        more_on=_places(more.commands, more_config),
        more_seconds=more.seconds,
    )


@contextmanager
def _processor_time() -> Generator[Stopwatch]:
    """Yield a stopwatch of the seconds that all threads of this process compute; nobody here waits for a host."""
    watch = Stopwatch()
    began = time.process_time()
    try:
        yield watch
    finally:
        watch.seconds = time.process_time() - began


@dataclass(frozen=True)
class _Done:
    seconds: float
    commands: list[tuple[str, str]]


def _up(folder: Path, program: Program) -> _Done:
    """Bring the stack whose state is in `folder` to what `program` says, and return what that took."""
    answering = Answering()
    passphrases = (Passphrase("the benchmark", "inventory"),)
    with _processor_time() as watch:
        files = FileBackend(f"file://{folder}").files("bench", "inventory")
        stack = open_stack(files, UpdateKind.UPDATE, passphrases=passphrases)
        old: Snapshot = stack.snapshot
        report = deploy(program, Run(providers=_providers(answering), old=old, record=stack, preview=False))
        stack.close(succeeded=not report.failures, changes=report.summary())
    assert not report.failures, report.failures[:3]
    return _Done(watch.seconds, answering.commands)


def _providers(connector: Connector) -> ProviderRegistry:
    return ProviderRegistry({"command": CommandFactory(project=ROOT, connector=connector)})


def _places(commands: list[tuple[str, str]], config: NodesConfig) -> dict[str, int]:
    """Return how many of the commands ran on the host that was added, on control planes, and on other workers."""
    names = {str(host.address): name for name, host in config.hosts.items()}

    def place(name: str) -> str:
        if name == LATER_HOST:
            return "new host"
        return "control plane" if name.startswith("cp-") else "other"

    return dict(Counter(place(names[address]) for address, _ in commands))


def _plain(step: Step) -> dict[str, PlainValue]:
    """Return a step's values, a short text in place of what is not known before other steps have run."""
    return {
        name: value if isinstance(value, str | int | bool | tuple) or value is None else "later"
        for name, value in step.values.items()
    }


def _state_bytes(folder: Path) -> int:
    return (folder / ".pulumi" / "stacks" / "bench" / "inventory.json").stat().st_size


def _resident_mebibytes() -> float:
    """Return what this process holds now (proc(5), statm: pages)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    gc.disable()  # as labctl does
    print(json.dumps(measure(int(sys.argv[1])).__dict__))
