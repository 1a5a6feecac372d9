"""Asks the storage host for a user's home before their server starts, and waits until it is there.

Where homes are datasets that the storage host makes at run time. The hub has a
folder of that host mounted, with ``requests`` to write to and ``answers`` to read; a program of root's there does the
rest (the project's ``components/storage/files/make-homes.sh``, which also says what a request looks like). It needs
nothing but the standard library and the hub's own objects, of which it names the few attributes it uses.

Asked on every start: for a home that is there the answer comes at once, and one that was lost is noticed before a
server mounts an empty folder in its place.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .objects import Spawner, Step

__all__ = [
    "Answer",
    "HomeFolderError",
    "HomeRefusedError",
    "HomeRequest",
    "HomeSilenceError",
    "HomesSettings",
    "Status",
    "ask_before_start",
    "obtain",
    "owner_of",
]

VERSION = "1"
"""Of requests and answers."""
NONCE_BYTES = 8
"""Randomness in a request's name: two starts at once never read each other's answer."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
"""Between two looks for an answer. A home is made in some tenths of a second."""
MOST_ANSWER_BYTES = 4096
"""Of an answer; it has four short lines."""
_THREADS = ThreadPoolExecutor(8, thread_name_prefix="homes")
"""For what touches the mounted folder. While the storage host is away each call waits until the mount gives up; in
threads of their own they hold up nothing else of the hub, which looks up names in the common ones."""
_Found = TypeVar("_Found")


class HomesSettings(TypedDict):
    """What the stack file decides, handed over in the chart's ``custom`` values."""

    folder: str
    """Where the folder of the storage host is mounted."""
    uid: int
    gid: int
    """Whom servers run as."""
    timeoutSeconds: float
    """How long an answer is waited for."""


class Status(StrEnum):
    """What became of a request."""

    MADE = "made"
    EXISTS = "exists"
    """The home is there, and its owner's."""
    REFUSED = "refused"


@dataclass(frozen=True)
class HomeRequest:
    """One home that is asked for."""

    namespace: str
    claim: str
    uid: int
    gid: int

    def text(self) -> str:
        """Return the request as it is written."""
        lines = {"version": VERSION, "namespace": self.namespace, "claim": self.claim, "uid": self.uid, "gid": self.gid}
        return "".join(f"{key} {value}\n" for key, value in lines.items())


@dataclass(frozen=True)
class Answer:
    """What the storage host said."""

    status: Status
    path: str
    """Folder of the home on the storage host; empty where it was refused."""
    reason: str
    """Why it was refused; empty otherwise."""

    @classmethod
    def parse(cls, text: str) -> Answer:
        """Return an answer out of its text.

        Raises
        ------
        ValueError
            If it is no answer of this version.
        """
        lines = {key: value for key, _, value in (line.partition(" ") for line in text.splitlines())}
        if lines.get("version") != VERSION:
            message = f"no answer of version {VERSION}: {text[:200]!r}"
            raise ValueError(message)
        return cls(Status(lines.get("status", "")), lines.get("path", ""), lines.get("reason", ""))


class HomeSilenceError(Exception):
    """The storage host did not answer."""

    def __init__(self, seconds: float, claim: str) -> None:
        self.jupyterhub_message = (
            f"Your home folder is not ready: the storage server has not answered for {seconds:g} seconds. "
            f"Try again in a minute; if it stays like this, tell whoever runs the lab about {claim}."
        )
        super().__init__(self.jupyterhub_message)


class HomeFolderError(Exception):
    """The folder in which homes are asked for cannot be used, or what lies in it is no answer."""

    def __init__(self, problem: Exception, claim: str) -> None:
        self.jupyterhub_message = (
            "Your home folder could not be asked for: the hub does not reach the storage server as it should "
            f"({problem}). Try again in a minute; if it stays like this, tell whoever runs the lab about {claim}."
        )
        super().__init__(self.jupyterhub_message)


class HomeRefusedError(Exception):
    """The storage host does not give this home."""

    def __init__(self, reason: str, claim: str) -> None:
        self.jupyterhub_message = (
            f"The storage server refused to give you your home folder: {reason}. "
            f"Nothing of yours was changed. Tell whoever runs the lab about {claim}."
        )
        super().__init__(self.jupyterhub_message)


def owner_of(spawner: Spawner, settings: HomesSettings) -> tuple[int, int]:
    """Return the user and group id that a home is for: those its server's processes will have.

    These are the user's own, which `wear_identity` gave the server just before, or the settings' where nobody has any.
    """
    uid, gid = getattr(spawner, "uid", None), getattr(spawner, "gid", None)
    if isinstance(uid, int) and isinstance(gid, int):
        return uid, gid
    return settings["uid"], settings["gid"]


async def obtain(request: HomeRequest, folder: Path, timeout_seconds: float) -> Answer:
    """Return the storage host's answer to a request; a home that was made or was there is ready to be mounted.

    Parameters
    ----------
    request
        The home.
    folder
        Where requests are written and answers come.
    timeout_seconds
        How long the whole of it may take.

    Raises
    ------
    HomeSilenceError
        If nothing was heard until then; the request is taken back.
    OSError
        If the folder cannot be written to, or read.
    ValueError
        If what was heard is no answer.
    """
    name = f"{request.namespace}.{request.claim}.{secrets.token_hex(NONCE_BYTES)}"
    try:
        async with asyncio.timeout(timeout_seconds):
            await _in_thread(lambda: _write(folder / "requests", name, request.text()))
            pause = FIRST_PAUSE_SECONDS
            while (text := await _in_thread(lambda: _read(folder / "answers" / name))) is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    except TimeoutError:
        # Not waited for: the folder may be what does not answer.
        _THREADS.submit(_take_back, folder / "requests" / name)
        raise HomeSilenceError(timeout_seconds, request.claim) from None
    return Answer.parse(text)


def ask_before_start(settings: HomesSettings) -> Step:
    """Return what has the home made that a server will mount, and refuses the server where there is none.

    Parameters
    ----------
    settings
        The chart's ``custom.lab.homeRequests``.
    """

    async def step(spawner: Spawner) -> None:
        uid, gid = owner_of(spawner, settings)
        # The very names KubeSpawner gives the claim right after this (``get_pvc_manifest``).
        request = HomeRequest(spawner.namespace, spawner.pvc_name, uid, gid)
        seconds = settings["timeoutSeconds"]
        try:
            answer = await obtain(request, Path(settings["folder"]), seconds)
        except HomeSilenceError:
            spawner.log.warning("home %s of %s: no answer in %s s", request.claim, request.namespace, seconds)
            raise
        except (OSError, ValueError) as problem:
            spawner.log.warning("home %s of %s: %s", request.claim, request.namespace, problem)
            raise HomeFolderError(problem, request.claim) from problem
        if answer.status is Status.REFUSED:
            spawner.log.warning("home %s of %s refused: %s", request.claim, request.namespace, answer.reason)
            raise HomeRefusedError(answer.reason, request.claim)
        spawner.log.info("home %s of %s: %s", request.claim, request.namespace, answer.status)

    return step


async def _in_thread(work: Callable[[], _Found]) -> _Found:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)


def _write(folder: Path, name: str, text: str) -> None:
    """Put a request where it is seen whole or not at all; what begins with a dot is passed over."""
    temporary = folder / f".{name}"
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode())
        temporary.rename(folder / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST_ANSWER_BYTES)
    except FileNotFoundError:
        return None


def _take_back(path: Path) -> None:
    path.unlink(missing_ok=True)
