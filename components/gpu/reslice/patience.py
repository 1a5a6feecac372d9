"""How long the command goes on asking an API server that gives no usable answer."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

import httpx2
from lightkube import ApiError

from .errors import ApiAwayError, ApiRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

__all__ = ["UNANSWERED", "Patience"]

UNANSWERED: Final = (ApiError, httpx2.HTTPError, json.JSONDecodeError)
"""What a request may end in; a proxy before the API server may answer in words of its own."""
_CONFLICT, _TOO_MANY, _SERVER_ERROR = 409, 429, 500


class Patience:
    """How long an API server may give no usable answer before the command gives up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def reset(self) -> None:
        """Note that it answered."""
        self._since = None

    def spend(self, error: Exception) -> None:
        """Return if `error` may pass by itself and there is patience left.

        Raises
        ------
        ApiRefusedError
            If it will not pass.
        ApiAwayError
            If it went on for too long.
        """
        if isinstance(error, ApiError):
            code = error.status.code or 0
            if code == _CONFLICT:
                return  # somebody was faster: look again
            if code != _TOO_MANY and code < _SERVER_ERROR:
                raise ApiRefusedError(error.status.message or str(code)) from None
        now = time.monotonic()
        self._since = self._since if self._since is not None else now
        if now - self._since > self._seconds:
            raise ApiAwayError(self._seconds, str(error) or type(error).__name__) from None

    def insist(self, request: Callable[[], None], stop: Event, is_stopped: Callable[[], bool], pause: float) -> bool:
        """Repeat a request until it is done; return False where the command is to end before.

        Parameters
        ----------
        stop
            Set when the command is to end soon; cuts a pause short.
        is_stopped
            Whether it is to end, for whatever reason.
        pause
            Seconds between two tries.

        Raises
        ------
        ApiRefusedError, ApiAwayError
            As `spend` does.
        """
        while not is_stopped():
            try:
                request()
            except UNANSWERED as error:
                self.spend(error)
                stop.wait(pause)
            else:
                self.reset()
                return True
        return False
