"""``labctl bundle`` and ``labctl bundle serve``."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.hub.lxcfs import lxcfs_packages
from components.nodes.plan import KubeconfigSource, kubeconfig_source
from components.nodes.system_plan import host_packages
from components.storage.packages import storage_packages
from labctl.bundle.assembly import Assembly, Missing, Options, recorded_charts
from labctl.bundle.charts import ChartFolder
from labctl.bundle.contents import Contents, HostNeeds, contents_of, lock
from labctl.bundle.display import Bars, Lines, print_contents
from labctl.bundle.distributions import Distribution
from labctl.bundle.downloads import Client
from labctl.bundle.errors import IncompleteError, MalformedSourceError
from labctl.bundle.mirror import Mirror, TlsFiles, parse_listen
from labctl.bundle.references import parse_reference
from labctl.charts.graphs import recorded_releases
from labctl.graph.record import record
from labctl.lab import open_lab

from .session import StoppedError, error_console, output_console, stoppable, teller

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from components.pins import Architecture, Pins
    from labctl.graph.record import Graph
    from labctl.lab import Lab

__all__ = ["Wishes", "bundle", "serve", "sources_of"]


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the stack file does not say of a bundle."""

    architectures: tuple[Architecture, ...]
    distributions: tuple[Distribution, ...]
    sources: tuple[str, ...] = ()
    """``CODENAME=LINE`` with a line of sources.list(5)."""
    images: tuple[str, ...] = ()
    """Images that no manifest names, because an operator chooses them at run time."""


def bundle(stack: str, wishes: Wishes, *, into: Path | None, as_json: bool, lock_file: Path | None) -> None:
    """Print what a stack needs from outside; with `into`, fetch it into that folder.

    Raises
    ------
    IncompleteError
        Something could not be had; each was shown, with its reason.
    """
    from stacks.pins import load_pins  # noqa: PLC0415 - each verb pays for what it uses

    lab = open_lab(stack)
    pins = load_pins(lab.environment.name)
    sources = sources_of(wishes.sources)
    graph = record(lab.program())
    contents = _contents(lab, graph, pins, wishes)
    console = output_console()
    if as_json:
        console.print(lock(contents), end="", markup=False)
    elif into is None:
        print_contents(console, contents)
    if lock_file is not None:
        lock_file.write_text(lock(contents), encoding="utf-8")
    if into is None:
        return
    options = Options(work=lab.root / ".lab" / "bundle", sources=sources)
    missing = _fill(contents, into, _charts(lab, graph, pins, into), options)
    if missing:
        errors = error_console()
        errors.print(f"Missing from {into}:", style="bold", markup=False)
        for part in missing:
            errors.print(f"  {part.what}: {part.reason}", markup=False)
        raise IncompleteError(missing=len(missing), folder=into)
    if not as_json:
        console.print(f"Done: everything {stack} needs is in {into}, verified.", style="bold", markup=False)


def _contents(lab: Lab, graph: Graph, pins: Pins, wishes: Wishes) -> Contents:
    nodes, storage = lab.cluster.nodes, storage_packages(lab.cluster.storage)
    hosts = HostNeeds(
        packages=(*host_packages(nodes), *storage.everywhere, *lxcfs_packages(lab.cluster.hub)),
        debian_packages=storage.on_debian,
        architectures=wishes.architectures,
        distributions=wishes.distributions,
        pre_pulled=nodes.pre_pull,
    )
    bootstrapped = kubeconfig_source(nodes) is KubeconfigSource.BOOTSTRAP
    listed = contents_of(graph, pins, hosts, bootstrapped=bootstrapped)
    return listed.with_images({str(parse_reference(image)): ("the command line",) for image in wishes.images})


def _charts(lab: Lab, graph: Graph, pins: Pins, folder: Path) -> ChartFolder:
    from labctl.charts.helm import HelmCharts  # noqa: PLC0415 - only fetching pays for it
    from labctl.control_plane import obtain_tool  # noqa: PLC0415 - only fetching pays for it

    tool = HelmCharts(
        helm=lambda: obtain_tool("helm", teller(error_console())),
        project=lab.root,
        work=lab.root / ".lab" / "helm",
        kubernetes=pins.kubernetes,
    )
    releases = tuple(recorded_releases(graph))
    return ChartFolder(folder / "charts", releases=releases, tool=tool, recorded=recorded_charts(folder))


def _fill(contents: Contents, folder: Path, charts: ChartFolder, options: Options) -> tuple[Missing, ...]:
    errors = error_console()
    with stoppable(errors) as cancelled, Bars(errors) if errors.is_terminal else Lines(errors) as listener:
        client = Client(parallel=options.parallel, stopping=cancelled)
        try:
            assembly = Assembly(folder, listener=listener, client=client, charts=charts, options=options)
            missing = assembly.fill(contents)
        finally:
            client.close()
    if cancelled.is_set():
        message = f"stopped; what came is in {folder}, and the same command goes on from there"
        raise StoppedError(message)
    return missing


def sources_of(given: Sequence[str]) -> Mapping[Distribution, tuple[str, ...]]:
    """Return the package sources by distribution, from ``CODENAME=LINE`` texts.

    Raises
    ------
    MalformedSourceError
        If one is not that.
    """
    found: dict[Distribution, tuple[str, ...]] = {}
    known = tuple(distribution.value for distribution in Distribution)
    for text in given:
        codename, _, line = text.partition("=")
        if codename not in known or not line.startswith("deb "):
            raise MalformedSourceError(text, known)
        distribution = Distribution(codename)
        found[distribution] = (*found.get(distribution, ()), line)
    return found


def serve(folder: Path, *, listen: str, certificate: Path | None, key: Path | None) -> None:
    """Serve a bundle's folder until Ctrl-C or SIGTERM: files, packages, charts, and its images as a registry."""
    errors = error_console()
    tls = TlsFiles(certificate=certificate, key=key) if certificate is not None and key is not None else None

    def log(line: str) -> None:
        errors.print(line, markup=False)

    ended = threading.Event()
    before = {
        number: signal.signal(number, lambda _number, _frame: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with Mirror(folder, listen=parse_listen(listen), tls=tls, log=log) as mirror:
            errors.print(f"serving {folder} at {mirror.url} (nodes.mirror.url); Ctrl-C ends it", markup=False)
            ended.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
