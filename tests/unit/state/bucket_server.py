"""A server of moto on a port of its own; what it stores outlives `stop`, as a real one's does."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from labctl.engine.state import S3Backend

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

BUCKET = "lab-state"


def never(_release: object) -> None:
    """Stand in for ``atexit.register``: what a test leaves locked goes with its bucket."""


class BucketServer:
    """Starts when entered; one at a time in a process, since moto keeps what it stores in the process."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._running: ThreadedMotoServer | None = None

    @property
    def url(self) -> str:
        """Of a backend under a prefix of the bucket."""
        return f"s3://{BUCKET}/teams/compute?region=us-east-1&endpoint=http://127.0.0.1:{self.port}&use_path_style=true"

    def backend(self) -> S3Backend:
        return S3Backend(self.url)

    def start(self) -> None:
        self._running = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._running.start()

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None

    def __enter__(self) -> Self:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()
        self.start()
        self.backend().bucket.client.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()
