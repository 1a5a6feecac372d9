"""Whether a component of the control plane is well, and waiting until it is."""

import time
from collections.abc import Sequence

import urllib3

from .cache import require_space, tail_of
from .client import tls_context
from .components import ComponentSpec, HealthCheck, Layout
from .errors import ComponentFailedError
from .processes import ProcessTable
from .progress import Progress, heartbeat

__all__ = ["await_health", "is_well", "still_unwell"]

START_SECONDS = 90.0
"""For a component to become well: 3 s for all of them on an idle machine, many more on one that compiles something."""

RECOVERY_SECONDS = 5.0
"""For a component that runs to become well again, once what it needs is back. An API server that was without its etcd
for minutes tries again more and more rarely, up to every two minutes; starting it anew takes 3 s."""

POLL_SECONDS = 0.05
"""Between two looks at a starting component."""

ANSWER_SECONDS = 2.0
"""For one answer on loopback; slower than this is not well."""

FULL_DISK_BYTES = 64 << 20
"""Less available than this, and a component that failed has failed for it: one etcd log segment."""


def is_well(check: HealthCheck, layout: Layout) -> bool:
    """Return whether the component answers its health check with 200."""
    context = None
    if check.authority is not None:
        client = layout.certificate(check.client) if check.client else None
        try:
            context = tls_context(authority=layout.pki / f"{check.authority}.crt", client=client)
        except FileNotFoundError:
            # No certificates yet: nothing can have been started with them.
            return False
    with urllib3.PoolManager(ssl_context=context, retries=False, timeout=ANSWER_SECONDS) as pool:
        try:
            return pool.request("GET", check.url).status == 200  # noqa: PLR2004 - HTTP's own number
        except urllib3.exceptions.HTTPError:
            return False


def still_unwell(specs: Sequence[ComponentSpec], layout: Layout) -> list[ComponentSpec]:
    """Return those that do not become well within RECOVERY_SECONDS; at once if all are."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    waiting = [spec for spec in specs if not is_well(spec.health, layout)]
    while waiting and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        waiting = [spec for spec in waiting if not is_well(spec.health, layout)]
    return waiting


def await_health(specs: Sequence[ComponentSpec], layout: Layout, table: ProcessTable, progress: Progress) -> None:
    """Return when all of these are well.

    Raises
    ------
    ComponentFailedError
        One has ended, or is not well after START_SECONDS; shows the end of its log.
    DiskSpaceError
        One has ended and the disk is full.
    """
    names = " and ".join(spec.name for spec in specs)
    deadline = time.monotonic() + START_SECONDS
    waiting = list(specs)
    with heartbeat(progress, f"waiting for {names}"):
        while waiting:
            ended = [spec.name for spec in waiting if table.find(spec.name, progress) is None]
            waiting = [spec for spec in waiting if spec.name in ended or not is_well(spec.health, layout)]
            if waiting and (ended or time.monotonic() > deadline):
                # The first of them: those after it need it, and may have ended for lack of it.
                first = waiting[0]
                reason = "ended while starting" if first.name in ended else f"does not become well ({first.health.url})"
                raise _failure(first, reason, layout, table)
            if waiting:
                time.sleep(POLL_SECONDS)


def _failure(spec: ComponentSpec, reason: str, layout: Layout, table: ProcessTable) -> ComponentFailedError:
    require_space(f"the data of {spec.name}, which {reason}", layout.directory, FULL_DISK_BYTES)
    log = table.log_of(spec.name)
    return ComponentFailedError(component=spec.name, reason=reason, log=log, tail=tail_of(log))
