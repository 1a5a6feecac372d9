"""The measurements on real hosts. Whoever imports this has the tests' folder on the path."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from hosts_lab import HostsLab, connect_pods, lab_on, wait_for_nodes

from .hosts_ansible import install_ansible
from .hosts_bed import stock
from .hosts_state import differences, states
from .measure import ROOT, Measured, stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .hosts_ansible import Ansible
    from .hosts_bed import Site, Store

__all__ = ["measured"]

HOSTS = 3
"""A control plane and two workers."""
CLUSTERS = 3
"""Clusters made from bare hosts; the median of their times is quoted."""
ROUNDS = 4
"""Preparations by each of the two, in alternating order; an even number, so that each comes first as often."""
LOOKS = 5
"""Looks at converged hosts by each of the two, in alternating order."""
MOST_ROUND_TRIPS = 2
"""Commands over SSH that looking at one host may take."""
READY_SECONDS = 60.0
"""From bare, booted hosts to all nodes Ready."""
PREPARATION_RATIO = 1.5
"""Ansible's time of a first preparation to ours."""
DRIFT_RATIO = 10.0
"""``ansible-playbook --check``'s time over converged hosts to that of ``labctl drift``."""
SECONDS = 540
"""For one preparation, on a busy machine."""


def measured(
    count: int = HOSTS, *, clusters: int = CLUSTERS, rounds: int = ROUNDS, looks: int = LOOKS
) -> Iterator[Measured]:
    """Measure on `count` hosts; fewer than the defaults of anything are for trying the benchmark itself."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = stock(Path(folder), _say)
        with tempfile.TemporaryDirectory(prefix="b-") as short:
            ansible = install_ansible(Path(short))
            yield from _clusters(store, Path(folder), count, clusters)
            yield from _preparations(store, Path(folder), ansible, count, rounds)
            yield from _looks(store, Path(folder), ansible, count, looks)


def _clusters(store: Store, folder: Path, count: int, runs: int) -> Iterator[Measured]:
    """From bare hosts to a cluster whose nodes are Ready."""
    taken: list[float] = []
    for run in range(runs):
        with store.site(count) as site:
            lab = _lab(site, folder / f"cluster-{run}")
            with stopwatch() as watch:
                _bring_up(lab, count)
        taken.append(watch.seconds)
        _say(f"{count} hosts to Ready: {watch.seconds:.1f} s")
    yield Measured(
        f"{count} bare hosts to all nodes Ready, median of {runs}",
        f"{median(taken):.1f} s ({_range(taken)})",
        f"<= {READY_SECONDS:.0f} s",
    )


def _preparations(store: Store, folder: Path, ansible: Ansible, count: int, rounds: int) -> Iterator[Measured]:
    """First preparation by each, on hosts of its own that are equally bare; what both leave has to be the same."""
    ours: list[float] = []
    theirs: list[float] = []
    for index in range(rounds):
        left: dict[str, list[dict[str, str]]] = {}
        by: dict[str, Callable[[Site], float]] = {
            "ours": lambda site, index=index: _prepare(site, folder / f"prepared-{index}"),
            "Ansible's": lambda site: _play(site, ansible),
        }
        for who in sorted(by, reverse=index % 2 == 0):
            with store.site(count) as site:
                site.give_python_apt()
                seconds = by[who](site)
                left[who] = states(site)
            (ours if who == "ours" else theirs).append(seconds)
            _say(f"first preparation, {who}: {seconds:.1f} s")
        for own, other in zip(left["ours"], left["Ansible's"], strict=True):
            found = differences(own, other)
            assert not found, "the two did not do the same:\n" + "\n".join(found[:40])
    ratio = median(theirs) / median(ours)
    yield Measured(f"first preparation of {count} hosts, ours", f"{median(ours):.1f} s ({_range(ours)})")
    yield Measured(f"first preparation of {count} hosts, Ansible", f"{median(theirs):.1f} s ({_range(theirs)})")
    yield Measured("first preparation, Ansible to ours", f"{ratio:.2f}", f">= {PREPARATION_RATIO}")


def _looks(store: Store, folder: Path, ansible: Ansible, count: int, looks: int) -> Iterator[Measured]:
    """Look at converged hosts: a lab that is up, and beside it hosts that the playbook has converged."""
    ours: list[float] = []
    theirs: list[float] = []
    with store.site(count) as site, store.site(count) as played:
        played.give_python_apt()
        _play(played, ansible)
        lab = _lab(site, folder / "drift")
        _bring_up(lab, count)
        _drift(lab)  # as every later one has its bytecode
        before, before_played = site.visits(), played.visits()
        for index in range(looks):
            for who in sorted(("ours", "Ansible's"), reverse=index % 2 == 0):
                if who == "ours":
                    ours.append(_drift(lab))
                else:
                    theirs.append(_check(ansible))
        trips = max((after - before[name]).commands for name, after in site.visits().items()) / looks
        logins = max((after - before[name]).logins for name, after in site.visits().items()) / looks
        played_trips = max((after - before_played[name]).commands for name, after in played.visits().items()) / looks
    assert trips <= MOST_ROUND_TRIPS, f"labctl drift runs {trips:g} commands on a host"
    yield Measured(f"labctl drift, {count} hosts, median of {looks}", f"{median(ours):.2f} s ({_range(ours)})")
    yield Measured(
        f"ansible-playbook --check, {count} hosts, median of {looks}", f"{median(theirs):.2f} s ({_range(theirs)})"
    )
    yield Measured("looking, Ansible to ours", f"{median(theirs) / median(ours):.1f}", f">= {DRIFT_RATIO:.0f}")
    yield Measured(
        "commands on a host, ours",
        f"{trips:g} over {logins:g} connection (Ansible: {played_trips:g})",
        f"<= {MOST_ROUND_TRIPS}",
    )


def _lab(site: Site, folder: Path) -> HostsLab:
    """Return a copy of the project whose stack file has these hosts; its bytecode is there, as on a second run."""
    lab = lab_on(site.bed, site.mirror, site.pins, folder, site.roles)
    lab.write()
    ended = lab.run("preview")
    assert ended.code == 0, ended.text[-4000:]
    return lab


def _bring_up(lab: HostsLab, count: int) -> None:
    """Return when all nodes are Ready; their pods' network is made by hand, as the bed has no image of Calico's."""
    lab.up()
    lab.kubectl("wait", "nodes", "--all", "--for=jsonpath={.spec.podCIDR}", "--timeout=60s")
    connect_pods(lab)
    wait_for_nodes(lab, count)


def _prepare(site: Site, folder: Path) -> float:
    """Return the seconds in which our steps, run by the embedded engine from a process of its own, prepare hosts."""
    folder.mkdir()
    settings = site.settings()
    specification = {
        "nodes": site.section(),
        "name": settings.name,
        "hosts": str(settings.hosts),
        "pods": str(settings.pods),
        "services": str(settings.services),
        "domain": settings.domain,
        "pins": site.pins.model_dump(mode="json", by_alias=True, exclude_none=True),
        "privateKey": site.bed.access.key.read_text(encoding="utf-8"),
        "state": str(folder),
    }
    path = folder / "specification.json"
    path.write_text(json.dumps(specification), encoding="utf-8")
    command = [sys.executable, "-m", f"{__package__}.hosts_prepare", str(path)]
    with stopwatch() as watch:
        _well(command)
    return watch.seconds


def _play(site: Site, ansible: Ansible) -> float:
    """Return the seconds in which the playbook converges hosts."""
    ansible.aim_at(site)
    played = ansible.play()
    assert played.changed, "nothing was changed: these hosts were not bare"
    return played.seconds


def _check(ansible: Ansible) -> float:
    """Return the seconds in which Ansible looks at the hosts it has converged last, which differ in nothing."""
    played = ansible.play("--check")
    assert played.changed == 0, f"{played.changed} tasks would change something"
    return played.seconds


def _drift(lab: HostsLab) -> float:
    """Return the seconds in which labctl looks at a lab's hosts, which differ in nothing."""
    with stopwatch() as watch:
        ended = lab.run("drift")
    assert ended.code == 0, ended.text[-4000:]
    return watch.seconds


def _well(command: list[str]) -> None:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603 - ourselves
    assert ended.returncode == 0, f"{' '.join(command)}:\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}"


def _range(taken: list[float]) -> str:
    return f"{min(taken):.1f} to {max(taken):.1f}"


def _say(what: str) -> None:
    print(f"hosts: {what}", flush=True)
