"""``labctl charts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.charts.errors import ReleasesRefusedError
from labctl.charts.graphs import recorded_releases
from labctl.charts.rendering import ChartCheck, Outcome, check_release
from labctl.graph.record import record
from labctl.lab import open_lab

from .session import error_console, output_console, print_json, teller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.charts.rendering import ChartTool
    from labctl.graph.record import Graph
    from labctl.graph.values import Plain

__all__ = ["charts", "check_charts"]


def check_charts(graph: Graph, tool: ChartTool, digests: Mapping[str, str]) -> tuple[ChartCheck, ...]:
    """Return what every release's own chart says to its values, in the order of the graph.

    Parameters
    ----------
    graph
        A stack's recorded graph.
    tool
        Helm.
    digests
        Pinned digests of packaged charts, by chart.
    """
    return tuple(check_release(release, tool, digests.get(release.chart)) for release in recorded_releases(graph))


def charts(stack: str, *, as_json: bool = False) -> None:
    """Print what every release's own chart says to its values, where the network reaches it.

    Raises
    ------
    ReleasesRefusedError
        A chart does not take its values, is not the pinned one, or makes a release too large to store.
    """
    from labctl.charts.helm import HelmCharts  # noqa: PLC0415 - each verb pays for what it uses
    from labctl.control_plane import obtain_tool  # noqa: PLC0415
    from stacks.pins import load_pins  # noqa: PLC0415

    lab = open_lab(stack)
    pins = load_pins(lab.environment.name)
    tool = HelmCharts(
        helm=lambda: obtain_tool("helm", teller(error_console())),
        project=lab.root,
        work=lab.root / ".lab" / "helm",
        kubernetes=pins.kubernetes,
    )
    digests = {name: pin.digest for name, pin in pins.charts.items() if pin.digest is not None}
    graph = record(lab.program())
    with error_console().status("rendering each release by its chart"):
        checks = check_charts(graph, tool, digests)
    console = error_console() if as_json else output_console()
    if as_json:
        print_json({"stack": stack, "releases": [_document(check) for check in checks]})
    for check in checks:
        console.print(_line(check), markup=False)
    unreachable = sum(check.outcome is Outcome.UNREACHABLE for check in checks)
    if unreachable:
        console.print(f"{unreachable} of {len(checks)} charts could not be reached from here: nothing is known of them")
    failed = [check for check in checks if not check.passed]
    if failed:
        raise ReleasesRefusedError(refused=len(failed), checked=len(checks))


def _document(check: ChartCheck) -> dict[str, Plain]:
    return {
        "release": check.release,
        "chart": check.chart,
        "version": check.version,
        "outcome": str(check.outcome),
        "detail": check.detail,
        "objects": check.objects,
        "storedBytes": check.stored_bytes,
    }


def _line(check: ChartCheck) -> str:
    chart = f"{check.chart} {check.version}"
    if check.outcome is Outcome.RENDERED:
        return f"{chart}: {check.objects} objects, release of {check.stored_bytes / 1024:.0f} KiB"
    return f"{chart}: {check.outcome}: {check.detail}"
