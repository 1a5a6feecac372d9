"""Somebody who answers where homes are asked for, in a thread."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

__all__ = ["storage_host"]


@contextmanager
def storage_host(folder: Path, answer: Callable[[str], str | None]) -> Generator[list[tuple[str, str]]]:
    """Answer what is asked in a folder, by the text of the request; yield what was asked, names and texts.

    The folder has ``requests`` and ``answers`` in it. What has the answer None is left as it is.
    """
    asked: list[tuple[str, str]] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.wait(0.01):
            for path in sorted((folder / "requests").iterdir()):
                if path.name.startswith("."):
                    continue
                text = path.read_text(encoding="utf-8")
                asked.append((path.name, text))
                said = answer(text)
                if said is not None:
                    temporary = folder / "answers" / f".{path.name}"
                    temporary.write_text(said, encoding="utf-8")
                    temporary.rename(folder / "answers" / path.name)
                    path.unlink(missing_ok=True)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield asked
    finally:
        stop.set()
        thread.join()
