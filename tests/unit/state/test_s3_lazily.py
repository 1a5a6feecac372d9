"""Who keeps the state in a folder does not pay for what only a bucket needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
import labctl.lab, labctl.verbs.preview, labctl.verbs.backend
from labctl.engine.state import UpdateKind, open_backend, open_stack
files = open_backend(sys.argv[1]).files("lab", "dev")
with open_stack(files, UpdateKind.UPDATE, passphrases=()):
    pass
print(sorted(name for name in sys.modules if name.partition(".")[0] in {"boto3", "botocore", "s3transfer"}))
"""


def test_a_folder_imports_no_boto3(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, f"file://{tmp_path}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert said.stdout.strip() == "[]"
