"""Run a Pulumi program in this process.

The only place that uses private parts of Pulumi's SDK (``Stack``, ``Settings``, ``set_root_resource``); pinned by
``tests/unit/graph/test_recording.py`` and by the exact version in requirements.txt.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import re
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import pulumi.runtime.config
import pulumi.runtime.settings
import pulumi.runtime.stack

from .errors import GraphError, ProgramError, UnsupportedFeatureError
from .monitor import EngineLog, ResourceMonitor

if TYPE_CHECKING:
    import threading
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["DEFAULT_PARALLEL", "Program", "run_program", "script"]

REFUSED_BY_SDK: Final = re.compile(
    r"The Pulumi CLI does not support (?:the )?(?P<feature>.+?)(?: option)?\. Please update"
)
"""What the SDK says of features that our monitor does not announce (``pulumi/runtime/resource.py``)."""
DEFAULT_PARALLEL: Final = 16
"""Registrations under way at once (as the official engine's default of 4 x cores, here for two to four cores)."""


ROUNDS_TO_BEGIN: Final = 8
"""Turns of the event loop in which the tasks of a failed program begin; they are nested two or three deep."""


def _drop(severity: str, message: str) -> None:
    del severity, message


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Pulumi program and what it is run with."""

    project: str
    stack: str
    entry: Callable[[], None]
    """The program's body; see `script` for a file."""
    config: Mapping[str, str] = field(default_factory=dict[str, str])
    """Configuration by full key, ``research-compute:cluster``; structured values as JSON, secrets in the clear."""
    secret_keys: tuple[str, ...] = ()
    root: Path = field(default_factory=Path.cwd)
    """The project's folder: relative paths of the program mean this."""


def script(path: Path) -> Callable[[], None]:
    """Return the program in the file `path`, to be run as ``python path`` would."""

    def entry() -> None:
        runpy.run_path(str(path), run_name="__main__")

    return entry


def run_program(
    program: Program,
    monitor: ResourceMonitor,
    *,
    preview: bool,
    parallel: int = DEFAULT_PARALLEL,
    show: Callable[[str, str], None] = _drop,
) -> None:
    """Run `program` to its end, every registration answered by `monitor`.

    Raises
    ------
    GraphError
        What `monitor` raised for a registration, or `ProgramError` around what the program itself raised.
    """
    contextvars.Context().run(_run, program, monitor, preview, parallel, show)


def _run(
    program: Program,
    monitor: ResourceMonitor,
    preview: bool,  # noqa: FBT001 - Context.run passes positionally
    parallel: int,
    show: Callable[[str, str], None],
) -> None:
    before, path = Path.cwd(), list(sys.path)
    os.chdir(program.root)
    sys.path.insert(0, str(program.root))
    loop = asyncio.new_event_loop()
    executor = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="registration")
    loop.set_default_executor(executor)
    asyncio.set_event_loop(loop)
    try:
        _configure(program, monitor, preview=preview, parallel=parallel, show=show)
        loop.run_until_complete(_in_stack(program.entry))
    except BaseException as error:
        loop.set_exception_handler(_hush)
        if isinstance(error, GraphError):
            raise
        raise _program_error(error, program.root) from error
    finally:
        pulumi.runtime.settings.set_root_resource(None)  # pyright: ignore[reportArgumentType] - the SDK's own reset
        executor.shutdown(wait=True, cancel_futures=True)
        _close(loop)
        os.chdir(before)
        sys.path[:] = path


class _SdkSettings(Protocol):
    """What is used of the SDK's settings: they are context variables behind a descriptor that says no types."""

    rpc_manager: _RpcManager
    outputs: set[asyncio.Task[object]]
    lock: threading.Lock


class _RpcManager(Protocol):
    """Registrations under way."""

    rpcs: list[Awaitable[object]]


async def _in_stack(entry: Callable[[], None]) -> None:
    """Run `entry` below a root stack resource until nothing that it started is left.

    The SDK's own ``run_in_stack`` waits for the first of all open outputs again and again, which costs the square of
    their number: twice the time at 5,000 resources.
    """
    await pulumi.runtime.settings._load_monitor_feature_support()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the one place
    stack = pulumi.runtime.stack.Stack()
    try:
        entry()
    except BaseException:
        with contextlib.suppress(Exception):  # what it had started is answered first; its own exception is the cause
            await _drain()
        raise
    stack._finish()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - the one place
    await _drain()


async def _drain() -> None:
    """Return when every registration is answered and every output has its value; raise what one of them raised."""
    settings = cast("_SdkSettings", pulumi.runtime.settings.SETTINGS)
    while settings.rpc_manager.rpcs or settings.outputs:
        while settings.rpc_manager.rpcs:
            await settings.rpc_manager.rpcs.pop()
        with settings.lock:
            pending = list(settings.outputs)
            settings.outputs.clear()
        if pending:
            await asyncio.gather(*pending)


def _configure(
    program: Program,
    monitor: ResourceMonitor,
    *,
    preview: bool,
    parallel: int,
    show: Callable[[str, str], None],
) -> None:
    pulumi.runtime.settings.configure(
        pulumi.runtime.settings.Settings(
            project=program.project,
            stack=program.stack,
            monitor=monitor,
            engine=EngineLog(show),
            parallel=parallel,
            dry_run=preview,
            organization="organization",
            root_directory=str(program.root),
        )
    )
    pulumi.runtime.config.set_all_config(dict(program.config), list(program.secret_keys))
    pulumi.runtime.settings.set_root_resource(None)  # pyright: ignore[reportArgumentType] - the SDK's own reset


def _hush(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Say nothing of what else broke when a program failed: each output that waited has the same exception."""
    del loop, context


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """Close `loop`, whatever tasks a failed program left in it.

    Each is let run up to where it waits before it is ended: one that never began would leave what it was given to wait
    for behind, and Python would complain of that at some later moment.
    """
    for _ in range(ROUNDS_TO_BEGIN):
        loop.run_until_complete(asyncio.sleep(0))
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()
    asyncio.set_event_loop(None)


def _program_error(error: BaseException, root: Path) -> GraphError:
    """Return `error` with the program's own line that raised it; a cause of ours is returned as it is."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GraphError):
            return cause
        if refused := REFUSED_BY_SDK.match(str(cause)):
            return UnsupportedFeatureError(
                resource="the program", feature=refused["feature"], instead="Do without it, or use a supported option."
            )
        cause = cause.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(root) and ".venv" not in frame.filename]
    frame = (own or frames)[-1]
    return ProgramError(cause=error, place=f"{os.path.relpath(frame.filename, root)}:{frame.lineno}")
