"""The kernel settings that are the whole machine's: put back as they were when the last bed is gone.

A kubelet writes `vm.overcommit_memory`, `kernel.panic` and more; `sysctl --system` on a host writes others. Settings
below `net` belong to a host's own network namespace and end with it.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["read_settings", "restore_settings", "save_settings"]

ROOT = Path("/proc/sys")

MACHINE_WIDE = ("kernel", "vm", "fs", "user")
"""The trees of it that no namespace separates (`kernel` in most of its parts)."""

PASSING = (
    "kernel/ns_last_pid",
    "kernel/random",
    "kernel/hostname",
    "kernel/domainname",
    "kernel/sched_domain",
    "kernel/sem_next_id",
    "kernel/msg_next_id",
    "kernel/shm_next_id",
    "fs/binfmt_misc",
    "vm/drop_caches",
    "vm/compact_memory",
    "vm/stat_refresh",
)
"""What changes by itself, is an action rather than a value, or belongs to a namespace after all."""


def read_settings() -> dict[str, str]:
    """Return every machine-wide setting that can be written, by its path below /proc/sys."""
    found: dict[str, str] = {}
    for tree in MACHINE_WIDE:
        for path in sorted((ROOT / tree).rglob("*")):
            name = str(path.relative_to(ROOT))
            # As root every file looks writable to access(2): its mode says what the kernel means.
            if name.startswith(PASSING) or not path.is_file() or not path.stat().st_mode & 0o200:
                continue
            with suppress(OSError, UnicodeDecodeError):
                found[name] = path.read_text()
    return found


def save_settings(path: Path) -> None:
    """Leave the present settings in the file, unless it has some already: the first bed's are the machine's own."""
    if not path.exists():
        path.write_text(json.dumps(read_settings()))


def restore_settings(path: Path) -> None:
    """Leave the machine with the settings in the file, and no file."""
    if not path.exists():
        return
    saved: Mapping[str, str] = json.loads(path.read_text())
    for name, value in saved.items():
        with suppress(OSError, UnicodeDecodeError):
            if (ROOT / name).read_text() != value:
                (ROOT / name).write_text(value)
    path.unlink()
