"""The hub's own objects, as far as this package uses them: JupyterHub's and KubeSpawner's, by attribute."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Group", "HubConfiguration", "Logger", "Section", "Spawner", "Step", "User"]


class Logger(Protocol):
    """What is used of a log."""

    def info(self, message: str, *arguments: object) -> None:
        """Log what went well."""
        ...

    def warning(self, message: str, *arguments: object) -> None:
        """Log what an administrator has to look at."""
        ...


class Group(Protocol):
    """A group of the hub."""

    name: str


class User(Protocol):
    """A user of the hub."""

    name: str
    groups: Sequence[Group]

    async def get_auth_state(self) -> Mapping[str, object] | None:
        """Return what the authenticator has kept, or None."""
        ...


class Spawner(Protocol):
    """What is used of KubeSpawner."""

    user: User
    namespace: str
    pvc_name: str
    log: Logger


class Section(Protocol):
    """A section of the hub's configuration."""

    pre_spawn_hook: Step
    profile_list: object


class HubConfiguration(Protocol):
    """The hub's configuration object, ``c``."""

    KubeSpawner: Section


Step: TypeAlias = Callable[[Spawner], Coroutine[object, object, None]]
"""What happens before a server starts, for one subject; raising refuses the server."""
