"""A bundle's folder from its list: fetched in parallel, each part verified, one failure stopping nothing else."""

from __future__ import annotations

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from .contents import Contents, lock
from .distributions import Distribution
from .downloads import Client, Download, is_done
from .errors import BundleError, FolderBusyError
from .images import ImagePlan, plan_from_layout, plan_from_registry, store
from .layout import ImageLayout
from .packages import Closure, PackageRequest, resolve
from .registry import Registry, docker_credentials
from .repository import Signer, write_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from pathlib import Path

    from .charts import ChartFolder
    from .contents import ListedChart, ListedImage
    from .references import Reference

__all__ = ["LOCK_FILE", "Assembly", "Listener", "Missing", "Options", "file_path", "recorded_charts"]

LOCK_FILE: Final = "bundle.lock.json"
PARALLEL: Final = 8
"""Downloads at once: enough to fill a line of 1 Gbit/s from servers that give 100 to 200 Mbit/s per connection."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Listener(Protocol):
    """What is told of the progress; from many threads."""

    def expect(self, parts: int) -> None:
        """So many more parts are to be had."""
        ...

    def advance(self, count: int) -> None:
        """So many more bytes came; negative where some were thrown away."""
        ...

    def done(self, what: str) -> None:
        """One part is there, verified."""
        ...

    def failed(self, what: str, reason: str) -> None:
        """One part cannot be had."""
        ...


@dataclass(frozen=True, kw_only=True, order=True)
class Missing:
    """One part of a bundle that is not there."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """What differs from one site to another."""

    work: Path
    """Folder for package indices, which are large and no part of the bundle."""
    parallel: int = PARALLEL
    sources: Mapping[Distribution, tuple[str, ...]] = field(default_factory=dict[Distribution, "tuple[str, ...]"])
    """Lines of sources.list(5) instead of a distribution's own archive."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One download, and what to send for it."""

    what: str
    download: Download
    headers: Callable[[], Mapping[str, str]] = dict


class Assembly:
    """One run that fills `folder`.

    Parameters
    ----------
    folder
        The bundle's folder; made if it is not there.
    listener
        Told of the progress.
    client
        HTTP; also says when to stop.
    charts
        Fetches and renders charts.
    options
        What differs here.
    """

    def __init__(
        self, folder: Path, *, listener: Listener, client: Client, charts: ChartFolder, options: Options
    ) -> None:
        self._folder = folder
        self._listener = listener
        self._client = client
        self._charts = charts
        self._options = options
        self._layout = ImageLayout(folder / "images")
        self._registry = Registry(client, docker_credentials())
        self._missing: dict[str, str] = {}

    def fill(self, contents: Contents) -> tuple[Missing, ...]:
        """Return what is missing from the folder once everything that can be had is in it, its lock file written.

        Raises
        ------
        FolderBusyError
            Another process fills it.
        OSError
            The folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with _alone(self._folder), ThreadPoolExecutor(self._options.parallel) as pool:
            self._expect(contents.charts)
            fetched = self._each(pool, contents.charts, _chart_name, self._charts.fetch)
            whole = contents.with_images(self._charts.images(tuple(fetched), self._fail))
            closures = self._closures(pool, whole)
            plans = self._image_plans(pool, whole)
            parts = [*self._files(whole), *self._packages(closures), *self._blobs(plans)]
            came = self._download(pool, parts)
            kept = {part.download.path for part in came}
            self._write_repositories(closures, kept)
            self._write_images(plans, kept)
            resolved = {
                "charts": {f"{chart.chart}-{chart.version}.tgz": digest for chart, digest in sorted(fetched.items())},
                "images": {plan.reference.key: plan.root.descriptor.digest for plan in plans},
                "packages": {_title(closure): _packages(closure) for closure in closures},
            }
            text = lock(whole, resolved)
            (self._folder / LOCK_FILE).write_text(text, encoding="utf-8")
        return tuple(sorted(Missing(what=what, reason=reason) for what, reason in self._missing.items()))

    def _expect(self, parts: Sequence[object]) -> None:
        self._listener.expect(len(parts))

    def _each(
        self,
        pool: ThreadPoolExecutor,
        items: Sequence[Item],
        name: Callable[[Item], str],
        action: Callable[[Item], Result],
    ) -> dict[Item, Result]:
        """Return the results of `action` by item, those left out that failed, which is told and remembered."""

        def attempt(item: Item) -> tuple[Item, Result] | None:
            try:
                result = action(item)
            except (BundleError, OSError) as error:
                self._fail(name(item), str(error))
                return None
            self._listener.done(name(item))
            return item, result

        return dict(found for found in pool.map(attempt, items) if found is not None)

    def _fail(self, what: str, reason: str) -> None:
        self._missing[what] = reason
        self._listener.failed(what, reason)

    def _closures(self, pool: ThreadPoolExecutor, contents: Contents) -> tuple[Closure, ...]:
        requests = [
            PackageRequest(
                distribution=Distribution(listed.distribution),
                architecture=architecture,
                names=listed.names,
                sources=self._options.sources.get(Distribution(listed.distribution), ()),
            )
            for listed in contents.packages
            for architecture in contents.architectures
        ]
        self._expect(requests)
        found = self._each(
            pool,
            requests,
            lambda request: f"packages of {request.distribution} ({request.architecture})",
            lambda request: resolve(request, self._options.work),
        )
        for closure in found.values():
            for name in closure.unknown:
                self._fail(
                    f"package {name} of {closure.request.distribution} ({closure.request.architecture})",
                    "the distribution has no package of this name",
                )
        return tuple(found.values())

    def _image_plans(self, pool: ThreadPoolExecutor, contents: Contents) -> tuple[ImagePlan, ...]:
        def plan(image: ListedImage) -> ImagePlan:
            reference = image.parsed
            known = plan_from_layout(self._layout, reference, contents.architectures)
            return known or plan_from_registry(self._registry, reference, contents.architectures)

        self._expect(contents.images)
        return tuple(self._each(pool, contents.images, lambda image: image.reference, plan).values())

    def _files(self, contents: Contents) -> list[_Part]:
        return [
            _Part(
                f"{file.name} {file.version} ({file.architecture})",
                Download(url=file.url, path=file_path(self._folder, file.url), sha256=file.sha256),
            )
            for file in contents.files
        ]

    def _packages(self, closures: Iterable[Closure]) -> list[_Part]:
        parts: dict[Path, _Part] = {}
        for closure in closures:
            for package in closure.packages:
                path = self._folder / "apt" / closure.request.distribution / package.file_name
                download = Download(url=package.url, path=path, sha256=package.sha256, size=package.size)
                parts[path] = _Part(f"{closure.request.distribution}: {package.file_name}", download)
        return list(parts.values())

    def _blobs(self, plans: Iterable[ImagePlan]) -> list[_Part]:
        """Return every blob once, however many images have it."""
        parts: dict[str, _Part] = {}
        for plan in plans:
            for blob in plan.blobs:
                path = self._layout.blob(blob.digest)
                if path is None:
                    self._fail(f"{plan.reference}: {blob.digest}", "its manifest names a blob by no sha256 digest")
                    continue
                download = Download(
                    url=self._registry.blob_url(plan.reference, blob.digest),
                    path=path,
                    sha256=blob.digest.removeprefix("sha256:"),
                    size=blob.size,
                )
                part = _Part(f"{plan.reference.key}: {blob.digest[:19]}", download, self._headers(plan.reference))
                parts.setdefault(blob.digest, part)
        return list(parts.values())

    def _headers(self, reference: Reference) -> Callable[[], Mapping[str, str]]:
        return lambda: self._registry.headers(reference)

    def _download(self, pool: ThreadPoolExecutor, parts: Sequence[_Part]) -> tuple[_Part, ...]:
        self._expect(parts)

        def get(part: _Part) -> None:
            if not is_done(part.download):
                part.download.path.unlink(missing_ok=True)  # nobody shall be served a file that is not the right one
                self._client.fetch(part.download, headers=part.headers, advance=self._listener.advance)

        return tuple(self._each(pool, parts, lambda part: part.what, get))

    def _write_repositories(self, closures: Sequence[Closure], kept: set[Path]) -> None:
        signer = Signer(self._folder / ".signing")
        for distribution in sorted({closure.request.distribution for closure in closures}):
            folder = self._folder / "apt" / distribution
            mine = [closure for closure in closures if closure.request.distribution == distribution]
            packages = {
                package.file_name: package
                for closure in mine
                for package in closure.packages
                if folder / package.file_name in kept
            }
            dates = [date for closure in mine for date in closure.dates]
            try:
                write_repository(folder, packages.values(), codename=distribution, dates=dates, signer=signer)
            except BundleError as error:
                self._fail(f"index of the packages of {distribution}", str(error))

    def _write_images(self, plans: Iterable[ImagePlan], kept: set[Path]) -> None:
        for plan in plans:
            absent = [blob.digest for blob in plan.blobs if self._layout.blob(blob.digest) not in kept]
            if absent:
                self._layout.remove(plan.reference.key)  # whole in an earlier run, and damaged since
                self._fail(str(plan.reference), f"{len(absent)} of its {len(plan.blobs)} blobs are missing")
            else:
                store(self._layout, plan)


def file_path(folder: Path, url: str) -> Path:
    """Return where a bundle keeps the file of `url`: ``files/<host>/<path>``, as hosts ask the mirror for it."""
    parts = urlsplit(url)
    steps = [step for step in unquote(parts.path).split("/") if step not in {"", ".", ".."}]
    return folder.joinpath("files", parts.netloc, *steps)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Hold the folder: two runs at once would write the same files."""
    with (folder / ".lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderBusyError(folder) from None
        yield


def _chart_name(chart: ListedChart) -> str:
    return f"chart {chart.chart} {chart.version}"


def _title(closure: Closure) -> str:
    return f"{closure.request.distribution}-{closure.request.architecture}"


def _packages(closure: Closure) -> dict[str, dict[str, str]]:
    return {
        package.stanza["Package"]: {"version": package.stanza["Version"], "sha256": package.sha256}
        for package in closure.packages
    }


def recorded_charts(folder: Path) -> Mapping[str, str]:
    """Return the digests of the charts that an earlier run put into `folder`, by file name."""
    try:
        document = json.loads((folder / LOCK_FILE).read_bytes())
        return dict(document["fetched"]["charts"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
