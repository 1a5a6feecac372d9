"""``python alive.py FILE SECONDS``: exits with 0 if the file is at most so old; what the kubelet asks."""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Return the exit status."""
    path, seconds = Path(arguments[0]), float(arguments[1])
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        sys.stderr.write(f"{path} is not there yet\n")
        return 1
    if age > seconds:
        sys.stderr.write(f"{path} is {age:.0f} s old, more than {seconds:.0f}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
