"""A host to reach, a key that it lets in, and what connects to it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import pytest
from ssh_server import LOOPBACK, SshHost, key_pair, serving

from labctl.ssh import Connector, Target

USER_KEY, USER_PUBLIC = key_pair()


@pytest.fixture
def host() -> Generator[SshHost]:
    """A host that is listening."""
    with serving(SshHost(authorized=(USER_PUBLIC,))) as host:
        yield host


@pytest.fixture
def connector() -> Generator[Connector]:
    """Closed after the test."""
    connector = Connector()
    yield connector
    connector.close()


@pytest.fixture
def target_of() -> Callable[[SshHost], Target]:
    """Return the way to a host, by the right key, attempted once."""

    def target(host: SshHost) -> Target:
        return Target(host=LOOPBACK, port=host.port, host_key=host.public_key, private_key=USER_KEY, dial_retries=0)

    return target


@pytest.fixture
def target(host: SshHost, target_of: Callable[[SshHost], Target]) -> Target:
    """The way to `host`."""
    return replace(target_of(host), user="lab")
