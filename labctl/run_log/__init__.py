"""The log file of every run that changes or previews something: what it was asked, what it did, how it ended.

Nothing of this package may fail a run: what cannot be written is left out, and the last line of the run says so.
"""

from __future__ import annotations

from .current import current, finish, start, trace
from .files import LoggedRun, logged_runs, logs_folder
from .log import NoLog, RunLog

__all__ = ["LoggedRun", "NoLog", "RunLog", "current", "finish", "logged_runs", "logs_folder", "start", "trace"]
