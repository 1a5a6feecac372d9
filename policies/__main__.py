"""The project's rules as a policy pack of the official engine: ``pulumi up --policy-pack policies``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The engine starts the pack in its own folder: the project's is not where Python looks.
sys.path.insert(0, str(HERE.parent))

from policies.pack import serve  # noqa: E402 - after the path

serve(HERE / "exceptions.yaml")
