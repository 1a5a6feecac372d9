"""What keeps hosts from being asked at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.errors import LabError
from labctl.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UnknownHostError"]


class UnknownHostError(LabError):
    """A host was named that can not be asked."""

    exit_code = ExitCode.USAGE

    def __init__(self, *, name: str, stack: str, known: Sequence[str]) -> None:
        super().__init__(
            f"nodes.hosts of stack {stack} has no {name} that can be asked (a lost host cannot); "
            f"there are: {', '.join(known) or 'none'}"
        )
        self.name = name
