"""How long work tells what it is doing: a plain callback, rendered by whoever called."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["Progress", "heartbeat", "silent"]

Progress = Callable[[str], None]

HEARTBEAT_SECONDS = 5.0
"""Between two signs of life of one long step: long enough not to flood a log, short enough to tell it from a hang."""


def silent(_message: str) -> None:
    """Drop the message: the progress of callers that show none."""


@contextmanager
def heartbeat(progress: Progress, what: str) -> Generator[None]:
    """Report `what` at once and then with its elapsed seconds until the block ends.

    Parameters
    ----------
    progress
        Called from a thread of its own while the block runs.
    what
        The step, as a present participle: "building kube-apiserver 1.36.3 from source".
    """
    started = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            progress(f"{what}: {time.monotonic() - started:.0f} s")

    progress(what)
    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
