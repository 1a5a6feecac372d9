"""Run the measurements named on the command line, or all of them, and print a table."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from . import (
    capacity,
    command_line,
    engine,
    gpu_planning,
    hosts,
    hosts_inventory,
    lab,
    packing,
    profiles,
    pull_request,
    spawns,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .measure import Measured

MEASUREMENTS: dict[str, Callable[[], Iterator[Measured]]] = {
    "preview": engine.preview,
    "create": engine.create,
    "prod": lab.prod_preview,
    "noop": lab.nothing_to_do,
    "thousand": lab.thousand_nodes,
    "inventory": hosts_inventory.inventory,
    "hosts": hosts.hosts,
    "gpus": gpu_planning.planning,
    "capacity": capacity.capacity,
    "packing": packing.packing,
    "spawns": spawns.spawns,
    "profiles": profiles.profiles,
    "pull-request": pull_request.pull_request,
    "log": command_line.run_log,
    "completion": command_line.completion,
}


def main() -> None:
    """Print one line per measured figure."""
    gc.disable()  # as labctl does
    table = Table("measurement", "figure", "bar", title="benchmarks")
    for name in sys.argv[1:] or MEASUREMENTS:
        for measured in MEASUREMENTS[name]():
            table.add_row(f"{name}: {measured.what}", measured.figure, measured.bar)
            print(f"{name}: {measured.what}: {measured.figure}  {measured.bar}", flush=True)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
