"""The documented exit codes are those of the program."""

from __future__ import annotations

import re
from pathlib import Path

from labctl.exit_codes import ExitCode


def test_every_exit_code_is_documented(root: Path) -> None:
    text = (root / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    documented = {int(code): name for code, name in re.findall(r"^\| (\d+) \| ([A-Z]+) \|", text, re.MULTILINE)}
    assert documented == {code.value: code.name for code in ExitCode}
