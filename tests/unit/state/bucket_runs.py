"""Runs on a bucket in processes that get killed, started by `test_s3_interruptions`; prints one JSON object per case.

One process imports boto3 once and forks for each case: a run that is cut off, then one that goes on.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.engine.providers.base import Operation
from labctl.engine.state import ResourceState, S3Backend, StackLockedError, UpdateKind, open_stack

if TYPE_CHECKING:
    from collections.abc import Callable

WANTED = ("a", "b", "c")
TURNS = 4
"""Runs of each of two people."""


def resource(name: str) -> ResourceState:
    return ResourceState(urn=f"urn:pulumi:dev::lab::x:y:Z::{name}", type="x:y:Z", custom=True, id=name)


def deploy(backend: S3Backend, stack_name: str, world: Path, request: int = 0, event: str = "") -> None:
    """Make what is wanted of what is missing; die at the given request if there is one of that number."""
    left = request

    def die(**_call: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if request:
        backend.bucket.client.meta.events.register(f"{event}.s3", die)
    stack = open_stack(backend.files("lab", stack_name), UpdateKind.UPDATE, passphrases=())
    present = {state.name for state in stack.snapshot.resources}
    for name in WANTED:
        if name in present:
            stack.register(resource(name))
            continue
        begun = stack.begin(Operation.CREATING, resource(name))
        with world.open("a") as file:  # what the provider has done, out of the state's reach
            file.write(f"{name}\n")
        stack.done(begun, resource(name))
    stack.close()


def in_fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitpid(child, 0)[1]


def cut_off(fresh: S3Backend, own: S3Backend, folder: Path, request: int, event: str) -> dict[str, object]:
    """Return what was found after a run that died at a request, and after the next one.

    `fresh` has a client that this process never uses, so that each fork begins without connections.
    """
    stack_name, world = f"s{event.partition('-')[0]}{request}", folder / f"{event}-{request}"
    world.touch()
    killed = os.WIFSIGNALED(in_fork(lambda: deploy(fresh, stack_name, world, request, event)))
    files = own.files("lab", stack_name)
    fates = [holder.fate.value for holder in files.lock().others()]
    for holder in files.lock().others():
        files.lock().release_other(holder.id)
    found = open_stack(files, UpdateKind.PREVIEW, passphrases=()).snapshot
    made = sorted(set(world.read_text().split()))
    status = in_fork(lambda: deploy(fresh, stack_name, world))
    ended = open_stack(files, UpdateKind.PREVIEW, passphrases=()).snapshot
    return {
        "killed": killed,
        "fates": fates,
        "made": made,
        "known": sorted(
            {state.name for state in found.resources} | {p.resource.name for p in found.pending_operations}
        ),
        "status": status,
        "state": sorted(state.name for state in ended.resources),
        "pending": len(ended.pending_operations),
        "left": [key for key in files.bucket.tree(f".pulumi/stacks/lab/{stack_name}.journal") if "/000001." in key],
        "locks": len(files.lock().others()),
    }


def race(url: str, person: str) -> None:
    """Add a resource in each of several runs, waiting for the other person's."""
    done, backend = 0, S3Backend(url)
    while done < TURNS:
        try:
            stack = open_stack(backend.files("lab", "race"), UpdateKind.UPDATE, passphrases=())
        except StackLockedError:
            time.sleep(random.uniform(0.02, 0.1))  # noqa: S311 - to get out of each other's way
            continue
        for state in stack.snapshot.resources:
            stack.register(state)
        made = resource(f"{person}{done}")
        stack.done(stack.begin(Operation.CREATING, made), made)
        stack.close()
        done += 1


def main() -> None:
    url, folder, what = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if what == "race":
        race(url, sys.argv[4])
        return
    fresh, own = S3Backend(url), S3Backend(url)
    assert fresh.bucket.client
    request, killed = 1, True
    while killed:
        case = cut_off(fresh, own, folder, request, what)
        print(json.dumps(case), flush=True)  # noqa: T201 - the answer
        killed, request = bool(case["killed"]), request + 1


if __name__ == "__main__":
    main()
