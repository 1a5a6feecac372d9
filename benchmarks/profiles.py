"""The spawn page of a lab with 300 profiles and 5,000 users, by JupyterHub's and KubeSpawner's own code.

Time is the processor's: the page waits for nothing but a database in memory, so that it is what one user waits for on a
machine with nothing else to do, whatever else this one does. What the lab's own spawner adds to the page (free GPUs,
from a cache of the cluster's nodes and pods) is not in it.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from statistics import median, quantiles
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol, cast

from components.hub.config import HubConfig
from components.hub.facts import HubFacts
from components.hub.files.lab_hub.profiles import offer_by_group
from components.hub.profiles.plan import profile_groups, profile_list
from components.images import ImageReference

from .measure import Measured, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from components.hub.files.lab_hub.objects import HubConfiguration, Spawner, Step

__all__ = ["profiles"]

PROFILES, USERS, COURSES = 300, 5_000, 280
"""A university: a profile per course, twenty for everybody."""
COURSES_EACH = 6
"""Courses of one user in a term."""
OTHER_GROUPS = 10
"""Groups of the directory that no profile names, per user."""
PAGES = 200
"""Users whose page is measured, each once."""
BAR_SECONDS = 0.05
DIGEST = "sha256:" + "0" * 64


class _Spawner(Protocol):
    """What is used of KubeSpawner."""

    user: object
    user_options: Mapping[str, object]

    async def get_options_form(self) -> str: ...


class _Orm(Protocol):
    """What is used of JupyterHub's database module."""

    User: Callable[..., object]
    Group: Callable[..., object]
    new_session_factory: Callable[[str], Callable[[], _Session]]


class _Session(Protocol):
    """What is used of a session with a database."""

    def add(self, row: object) -> None: ...
    def add_all(self, rows: Iterable[object]) -> None: ...
    def commit(self) -> None: ...
    def expire_all(self) -> None: ...
    def query(self, table: object) -> Iterable[object]: ...


class _SpawnerModule(Protocol):
    """What is used of KubeSpawner's module."""

    KubeSpawner: Callable[..., _Spawner]
    load_config: object
    shared_client: object


class _Config(Protocol):
    """What is used of traitlets."""

    Config: Callable[[Mapping[str, object]], object]


class _Row(Protocol):
    """A user of the database."""

    name: str
    id: int
    groups: Sequence[object]


class _User:
    """A user as the page sees one, with groups that are read when asked for."""

    def __init__(self, row: _Row) -> None:
        self.name, self.id, self._row = row.name, row.id, row
        self.spawner = SimpleNamespace(options_form=True, active=False, ready=False)

    @property
    def groups(self) -> Sequence[object]:
        """The user's groups."""
        return self._row.groups


class _Template(Protocol):
    """What is used of a template of JupyterHub's."""

    def render(self, **names: object) -> str: ...


def profiles() -> Iterator[Measured]:
    """Render the page for users picked at random, and for one who may start everything."""
    section = _section()
    users = _database()
    step = section.step
    some = random.Random(1).sample(users, PAGES)  # noqa: S311 - a sample, nothing secret
    lists, forms, pages = _pages(section.offered, some, step)
    bar = f"< {BAR_SECONDS * 1000:.0f} ms"
    for what, taken in (("profiles of a user's groups", lists), ("form with them", forms), ("whole page", pages)):
        high = quantiles(taken, n=20)[-1]
        yield Measured(
            f"{PROFILES} profiles, {USERS} users: {what}, median / p95 / most",
            f"{median(taken) * 1000:.1f} / {high * 1000:.1f} / {max(taken) * 1000:.1f} ms",
            bar if what == "whole page" else "",
        )
    every = [SimpleNamespace(name=f"c{n}") for n in range(COURSES)]
    everything = _User(cast("_Row", SimpleNamespace(name="root", id=1, groups=every)))
    _, _, whole = _pages(section.offered, [everything] * 10, step)
    yield Measured(
        f"a page with all {PROFILES} profiles, median",
        f"{median(whole) * 1000:.1f} ms",
        f"< {BAR_SECONDS * 1000:.0f} ms",
    )


@contextmanager
def _processor() -> Generator[Stopwatch]:
    """Yield a stopwatch of the processor's time in this process while the block runs."""
    watch = Stopwatch()
    began = time.process_time()
    try:
        yield watch
    finally:
        watch.seconds = time.process_time() - began


class _Section:
    """The hub's configuration of its spawner, with the list as the hub makes it."""

    def __init__(self, config: HubConfig, facts: HubFacts) -> None:
        self.profile_list: object = profile_list(config, facts)
        c = cast("HubConfiguration", SimpleNamespace(KubeSpawner=self))
        self.step: Step = offer_by_group(c, profile_groups(config))
        self.offered = cast("Callable[[Spawner], Sequence[Mapping[str, object]]]", self.profile_list)


def _section() -> _Section:
    size = {"guarantee": {"cpu": "500m", "memory": "2Gi"}}
    choices = [
        {"key": f"s{n}", "name": f"{n} CPUs", "default": n == 1, "resources": {"guarantee": {"cpu": n}}}
        for n in (1, 2, 4, 8)
    ]
    listed: list[object] = []
    for number in range(PROFILES):
        one: dict[str, object] = {
            "slug": f"p{number}",
            "name": f"Profile {number}",
            "description": "Python, R and Julia with what the course of this term needs, and its notebooks.",
            "image": "minimal",
            "default": number == PROFILES - 1,
            "groups": [f"c{number}"] if number < COURSES else [],
        }
        listed.append(one | ({"options": {"size": choices}} if number % 3 == 0 else {"resources": size}))
    section = {"authentication": {"kind": "dummy"}, "homes": {"capacity": "1Gi", "key": "username"}, "profiles": listed}
    image = ImageReference.parse(f"registry.example.org/lab/minimal:1@{DIGEST}")
    return _Section(HubConfig.model_validate(section), HubFacts(home_class="", secret="", images={"minimal": image}))


def _database() -> list[_User]:
    """Return every user out of a database of JupyterHub's own shape, their groups yet to be read."""
    orm = cast("_Orm", import_module("jupyterhub.orm"))

    database = orm.new_session_factory("sqlite:///:memory:")()
    chance = random.Random(0)  # noqa: S311 - who takes which course
    names = [f"c{n}" for n in range(COURSES)] + [f"g{n}" for n in range(USERS // 10)]
    groups = {name: orm.Group(name=name) for name in names}
    database.add_all(groups.values())
    courses, others = names[:COURSES], names[COURSES:]
    for number in range(USERS):
        mine = chance.sample(courses, COURSES_EACH) + chance.sample(others, OTHER_GROUPS)
        database.add(orm.User(name=f"u{number}", groups=[groups[name] for name in mine]))
    database.commit()
    database.expire_all()
    found = [_User(cast("_Row", row)) for row in database.query(orm.User)]
    database.expire_all()
    return found


def _pages(
    offered: Callable[[Spawner], Sequence[Mapping[str, object]]], users: Sequence[_User], step: Step
) -> tuple[list[float], list[float], list[float]]:
    """Return how long list, form and page took for each user, in seconds."""
    template = _template()
    lists: list[float] = []
    forms: list[float] = []
    pages: list[float] = []
    for user in users:
        spawner = _spawner(offered, user)
        with _processor() as listing:
            offered(cast("Spawner", spawner))
        with _processor() as whole:
            with _processor() as form:
                shown = asyncio.run(spawner.get_options_form())
            template.render(spawner_options_form=shown, user=user, for_user=user, url="/hub/spawn", **_NAMES)
        asyncio.run(step(cast("Spawner", spawner)))
        lists.append(listing.seconds)
        forms.append(form.seconds)
        pages.append(whole.seconds)
    return lists, forms, pages


def _address(path: str, *, include_version: bool = True) -> str:
    return f"/hub/static/{path}{'?v=1' if include_version else ''}"


_NAMES: Mapping[str, object] = {
    "base_url": "/hub/",
    "prefix": "/",
    "static_url": _address,
    "services": (),
    "parsed_scopes": (),
    "expanded_scopes": set[str](),
    "xsrf_token": "x",
}
"""What JupyterHub's handlers give every page (``BaseHandler.template_namespace``), as far as this one asks for it."""


def _template() -> _Template:
    from jinja2 import Environment, FileSystemLoader, PrefixLoader  # noqa: PLC0415 - as above
    from jinja2.loaders import ChoiceLoader  # noqa: PLC0415

    folder = FileSystemLoader(str(Path(sys.prefix) / "share" / "jupyterhub" / "templates"))
    loader = ChoiceLoader([PrefixLoader({"templates": folder}), folder])
    return cast("_Template", Environment(loader=loader, autoescape=True).get_template("spawn.html"))


def _spawner(offered: object, user: object) -> _Spawner:
    module = cast("_SpawnerModule", import_module("kubespawner.spawner"))
    config = cast("_Config", import_module("traitlets.config"))

    def nothing(*_given: object, **_named: object) -> None:
        """Stand for what would look for a cluster."""

    module.load_config = nothing
    module.shared_client = nothing
    spawner = module.KubeSpawner(config=config.Config({"KubeSpawner": {"profile_list": offered}}), _mock=True)
    spawner.user = user
    spawner.user_options = {}
    return spawner
