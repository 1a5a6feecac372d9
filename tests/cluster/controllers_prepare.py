"""What the tests of controllers run and a lab does not: built here, once, so that no test waits for a compiler.

``python tests/cluster/controllers_prepare.py`` makes what is missing (a quarter of an hour on two busy cores from
nothing) and keeps it in the cache of tools.
"""

import sys

from labctl.control_plane.obtain import obtain_tools
from labctl.control_plane.pins import Purpose, load_pins

TEST_PROGRAMS = tuple(name for name, pin in load_pins()[1].items() if pin.purpose is Purpose.TESTS)
"""Obtained all at once: what two of them are made of is compiled once."""


def main() -> None:
    """Leave them in the cache."""
    obtain_tools(TEST_PROGRAMS, lambda line: print(line, file=sys.stderr))  # noqa: T201 - a script's progress


if __name__ == "__main__":
    main()
