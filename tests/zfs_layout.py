"""The words that a pool's script gives to zpool, for tests that judge them and tests that try them."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING, cast

from components.nodes.steps import read_script
from components.storage.zfs_config import PoolConfig, ZfsConfig
from components.storage.zfs_plan import pool_steps

if TYPE_CHECKING:
    from components.nodes.config import NodesConfig


def create_arguments(planned: PoolConfig, nodes: NodesConfig) -> tuple[str, ...]:
    """Return a pool's layout as the script gives it to ``zpool create``, from the values that its step has."""
    zfs = ZfsConfig(pools={"tank": planned})
    values = next(step.values for step in pool_steps(zfs, nodes) if step.script == "pool")
    given = "\n".join(
        f"{name}=({' '.join(map(shlex.quote, cast('tuple[str, ...]', values[name])))})"
        for name in ("DATA", "SPECIAL", "LOG", "CACHE", "SPARES")
    )
    scripts = "\n".join(read_script(name) for name in ("zfs-layout", "pool"))
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\nCONFIG_FOLDER=/etc\n{scripts}\n{given}\nlayout_words"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return tuple(done.stdout.splitlines())
