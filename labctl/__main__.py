"""``labctl``: the lab's command line."""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import sys

__all__ = ["main"]


UNUSED = ("pulumi.automation", "pulumi.dynamic")
"""Parts of the SDK that it imports by itself and this program never uses: a tenth of a preview's time."""


def _import_lazily(name: str) -> None:
    """Have the submodule `name` loaded when one of its attributes is first asked for (``LazyLoader``)."""
    package = importlib.util.find_spec(name.partition(".")[0])
    places = package.submodule_search_locations if package else None
    spec = importlib.machinery.PathFinder.find_spec(name, places) if places else None
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def main() -> None:
    """Run the verb on the command line and exit with a code of `labctl.exit_codes`."""
    # A verb builds large, long-lived graphs and ends: collecting cycles while the SDK is imported costs 15 % of a
    # preview and frees nothing (docs/benchmarks.md).
    gc.disable()
    for module in UNUSED:
        _import_lazily(module)
    from .cli import run  # noqa: PLC0415 - after the collector is off

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
