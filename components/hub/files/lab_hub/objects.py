"""The hub's own objects, as far as this package uses them: JupyterHub's and KubeSpawner's, by attribute."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["Group", "HubConfiguration", "Logger", "Section", "Spawner", "SpawnerRow", "Step", "User"]


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
    spawners: Mapping[str, Spawner]
    """Its servers by name, the default one's empty."""
    settings: Mapping[str, Mapping[object, User]]
    """What the hub's parts share; ``users`` are those in memory, all that have an active server among them."""

    async def get_auth_state(self) -> Mapping[str, object] | None:
        """Return what the authenticator has kept, or None."""
        ...


class SpawnerRow(Protocol):
    """What the hub's database keeps of a server."""

    started: datetime | None
    """UTC, without a zone; None for one that does not run."""
    user_options: Mapping[str, object]


class Spawner(Protocol):
    """What is used of KubeSpawner."""

    name: str
    """Of the server; empty for its user's default one."""
    active: bool
    pending: str | None
    """``spawn``, ``stop`` or ``check``; something false where nothing is pending."""
    orm_spawner: SpawnerRow
    user_options: Mapping[str, object]
    """What its user chose."""
    pod_name: str
    extra_annotations: Mapping[str, str]
    user: User
    namespace: str
    pvc_name: str
    log: Logger


class Section(Protocol):
    """A section of the hub's configuration."""

    pre_spawn_hook: Step
    modify_pod_hook: object
    profile_list: object
    additional_profile_form_template_paths: list[str]


class HookedSection(Protocol):
    """The section that all authenticators read; a mapping too, and asked as one whether a hook is there."""

    post_auth_hook: object

    def get(self, key: str) -> object:
        """Return a setting, or None."""
        ...


class SignInSection(Protocol):
    """The section of what our authenticators have in common (`signin.LabSignIn`)."""

    own_users: set[str]


class HubSection(Protocol):
    """The section of JupyterHub itself."""

    spawner_class: object
    extra_handlers: list[tuple[str, type] | tuple[str, type, Mapping[str, object]]]
    concurrent_spawn_limit: int
    template_paths: list[str]


class HubConfiguration(Protocol):
    """The hub's configuration object, ``c``."""

    Authenticator: HookedSection
    JupyterHub: HubSection
    KubeSpawner: Section
    LabSignIn: SignInSection


Step: TypeAlias = Callable[[Spawner], Coroutine[object, object, None]]
"""What happens before a server starts, for one subject; raising refuses the server."""
