"""Everything the tests on real hosts need and that takes long: the base disk, the programs, the bundle.

``python tests/hosts/bed_prepare.py`` makes what is missing (20 minutes on two cores from nothing) and keeps it in the
cache of tools; a test would be cut off in the middle of it.
"""

import sys
import tempfile
from pathlib import Path

from bed_base import base_disk
from bed_bundle import make_bundle
from bed_machine import TESTING, require_on_machine
from bed_packages import add_packages
from policy_program import obtain_enforcer


def main() -> None:
    """Leave everything in the cache."""

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    require_on_machine(TESTING, say)
    base_disk(say)
    with tempfile.TemporaryDirectory() as folder:
        add_packages(make_bundle(say).copy_to(Path(folder) / "bundle"), say)
    obtain_enforcer()


if __name__ == "__main__":
    main()
