"""What one run of the engine works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from .destruction import Gate
from .record import NoRecord
from .report import Report, SilentListener
from .state import Snapshot

if TYPE_CHECKING:
    from .record import Record
    from .registry import ProviderRegistry
    from .report import Listener

__all__ = ["Run"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """The state before, the providers, who watches, and what is allowed."""

    providers: ProviderRegistry
    old: Snapshot = field(default_factory=Snapshot)
    record: Record = field(default_factory=NoRecord)
    preview: bool = True
    """True: no provider changes anything, and `record` is never written."""
    gate: Gate = field(default_factory=Gate)
    listener: Listener = field(default_factory=SilentListener)
    report: Report = field(default_factory=Report)
    cancelled: Event = field(default_factory=Event)
    """Set to stop: operations under way are finished, nothing more is started."""
