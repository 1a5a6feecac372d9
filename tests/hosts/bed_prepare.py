"""Everything the tests on real hosts need and that takes long: the base disk, the programs, the bundle.

``python tests/hosts/bed_prepare.py`` makes what is missing (20 minutes on two cores from nothing) and keeps it in the
cache of tools; a test would be cut off in the middle of it.
"""

import sys

from bed_base import base_disk
from bed_bundle import make_bundle


def main() -> None:
    """Leave everything in the cache."""

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    base_disk(say)
    make_bundle(say)


if __name__ == "__main__":
    main()
