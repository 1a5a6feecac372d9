"""A program from its publisher's own release, taken only if its sha256 is the one pinned or published."""

import hashlib
import re
import shutil
import tarfile
import threading
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

from .cache import platform_names
from .errors import ChecksumMismatchError, ReleaseUnavailableError
from .pins import ReleasePin, ToolPin
from .progress import Progress, heartbeat

__all__ = ["ReleaseSource", "published_digest"]

CONNECT_SECONDS = 2.0
"""For the first contact, names and all: what a machine without a network may lose before the build starts."""

READ_SECONDS = 30.0
"""Between two pieces of a download that has begun: slower than this is a dead connection."""

CHUNK_BYTES = 1 << 20
"""Read and hashed at a time: large enough that Python's overhead vanishes."""

_HEX_DIGEST = re.compile(r"^[0-9a-f]{64}$")


def published_digest(text: str, file_name: str) -> str | None:
    """Return the sha256 of `file_name` in a publisher's list: a bare digest, or lines of ``digest  name``. Pure."""
    for line in text.splitlines():
        fields = line.split()
        if not fields or not _HEX_DIGEST.match(fields[0].lower()):
            continue
        if len(fields) == 1 or fields[1].lstrip("*").rsplit("/", 1)[-1] == file_name:
            return fields[0].lower()
    return None


def _pool_for(url: str) -> urllib3.PoolManager:
    """Return a connection pool that goes the way HTTPS_PROXY, HTTP_PROXY and NO_PROXY say."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy)
    return urllib3.PoolManager()


class ReleaseSource:
    """Downloads of one run. Once the network turned out not to be there, it is not asked again."""

    def __init__(self) -> None:
        self._unreachable: str | None = None

    def fetch(self, pin: ToolPin, destination: Path, progress: Progress) -> None:
        """Leave the publisher's build of `pin` at `destination`, checked and executable.

        Raises
        ------
        ReleaseUnavailableError
            There is no release pinned, no checksum for this platform, or no way to the publisher.
        ChecksumMismatchError
            What came is not what was published; nothing is left at `destination`.
        """
        release = pin.release
        if release is None:
            raise ReleaseUnavailableError(url=pin.name, reason="no release with a checksum is pinned")
        url, digest_url, pinned = self._addresses(pin, release)
        if self._unreachable is not None:
            raise ReleaseUnavailableError(url=url, reason=self._unreachable)
        self._reach(digest_url or url)
        expected = pinned or self._published(digest_url or "", url)
        download = destination.with_name(destination.name + ".download")
        try:
            with heartbeat(progress, f"downloading {pin.name} {pin.version}"):
                actual = self._download(url, download)
            if actual != expected:
                raise ChecksumMismatchError(name=pin.name, url=url, expected=expected, actual=actual)
            self._unpack(pin, release, download, destination)
        finally:
            download.unlink(missing_ok=True)

    @staticmethod
    def _addresses(pin: ToolPin, release: ReleasePin) -> tuple[str, str | None, str | None]:
        system, architecture = platform_names()
        facts = {"version": pin.version, "os": system, "arch": architecture}
        url = release.url.format(**facts)
        pinned = release.sha256.get(f"{system}-{architecture}")
        if pinned is None and release.checksum_url is None:
            raise ReleaseUnavailableError(url=url, reason=f"no checksum is pinned for {system}-{architecture}")
        digest_url = None if pinned or release.checksum_url is None else release.checksum_url.format(**facts)
        return url, digest_url, pinned

    def _reach(self, url: str) -> None:
        """Return if the host of `url` answers within CONNECT_SECONDS; else remember that it does not."""
        failure: list[str] = ["no answer"]

        def knock() -> None:
            try:
                with _pool_for(url) as pool:
                    pool.request("HEAD", url, timeout=CONNECT_SECONDS, retries=False)
            except urllib3.exceptions.HTTPError as error:
                failure[0] = f"not reachable ({type(error).__name__})"
            else:
                failure.clear()

        # In a thread of its own because resolving a name obeys no timeout of ours.
        thread = threading.Thread(target=knock, name="release-probe", daemon=True)
        thread.start()
        thread.join(CONNECT_SECONDS * 1.25)
        if failure:
            self._unreachable = failure[0]
            raise ReleaseUnavailableError(url=url, reason=failure[0])

    @staticmethod
    def _published(digest_url: str, url: str) -> str:
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        try:
            with _pool_for(digest_url) as pool:
                response = pool.request("GET", digest_url, timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            raise ReleaseUnavailableError(url=digest_url, reason=type(error).__name__) from error
        if response.status != 200:  # noqa: PLR2004 - HTTP's own number
            raise ReleaseUnavailableError(url=digest_url, reason=f"HTTP {response.status}")
        digest = published_digest(response.data.decode(errors="replace"), url.rsplit("/", 1)[-1])
        if digest is None:
            raise ReleaseUnavailableError(url=digest_url, reason="holds no sha256 of the file")
        return digest

    @staticmethod
    def _download(url: str, destination: Path) -> str:
        """Write what is at `url` to `destination` and return its sha256."""
        digest = hashlib.sha256()
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        try:
            with _pool_for(url) as pool, destination.open("wb") as file:
                response = pool.request("GET", url, timeout=timeout, preload_content=False)
                if response.status != 200:  # noqa: PLR2004 - HTTP's own number
                    raise ReleaseUnavailableError(url=url, reason=f"HTTP {response.status}")
                for chunk in response.stream(CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
        except urllib3.exceptions.HTTPError as error:
            raise ReleaseUnavailableError(url=url, reason=type(error).__name__) from error
        return digest.hexdigest()

    @staticmethod
    def _unpack(pin: ToolPin, release: ReleasePin, download: Path, destination: Path) -> None:
        if release.member is None:
            download.replace(destination)
        else:
            system, architecture = platform_names()
            member = release.member.format(version=pin.version, os=system, arch=architecture)
            # One named member is copied out; nothing is extracted by the archive's own paths.
            with tarfile.open(download, "r:gz") as archive:
                try:
                    source = archive.extractfile(member)
                except KeyError:
                    source = None
                if source is None:
                    raise ReleaseUnavailableError(url=release.url, reason=f"the archive has no {member}")
                with source, destination.open("wb") as file:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
        destination.chmod(0o755)
