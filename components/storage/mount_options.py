"""How nodes mount folders of an NFS server: every option with its reason (nfs(5)), for each use of a folder. Pure.

Left at their defaults on purpose: ``rsize`` and ``wsize`` (client and server agree on the largest both take, 1 MiB
with Linux), ``proto=tcp`` and port 2049 (NFS 4 has no other), ``ac`` and ``lookupcache=all`` where people write (a file
is looked at again when it is opened, so that two servers of one person agree; some seconds' delay beyond that save most
of the requests), ``resvport`` (the exports insist on it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config import NfsVersion

__all__ = ["MountOption", "data_mount_options", "request_mount_options"]


@dataclass(frozen=True, slots=True)
class MountOption:
    """One option of mount.nfs, and why."""

    text: str
    reason: str


def data_mount_options(version: NfsVersion, *, read_only: bool) -> tuple[MountOption, ...]:
    """Return the options of a mount of data.

    What is written blocks while the server is away, however long, and goes on when it is back: nothing is lost, and no
    program sees an error. What is only read gives up after a minute and a half.

    Parameters
    ----------
    version
        Protocol version that is asked for.
    read_only
        Whether nobody on the node writes there.
    """
    common = _common(version)
    if not read_only:
        return (
            *common,
            MountOption("hard", "While the server is away a writer waits; an error would truncate its file."),
            MountOption("timeo=600", "Asked again after 60 s (the unit is 0.1 s), the default: busy is not dead."),
            MountOption("retrans=2", "After two times the kernel's log says that nobody answers; it goes on."),
        )
    return (
        *common,
        MountOption(
            "softerr",
            "A reader gets ETIMEDOUT from a dead server instead of hanging. The risk: a program that has mapped a file "
            "from there dies (SIGBUS). Nothing can be lost.",
        ),
        MountOption("timeo=300", "Asked again after 30 s (the unit is 0.1 s): a busy server is not a dead one."),
        MountOption("retrans=2", "Two times, then the error: after 90 s."),
        MountOption(
            "actimeo=60",
            "What a file is like is asked once a minute: imports look at thousands of files that hardly change. The "
            "price: what is new shows after a minute.",
        ),
    )


def request_mount_options(version: NfsVersion) -> tuple[MountOption, ...]:
    """Return the options of the mount in which the hub asks for homes."""
    return (
        *_common(version),
        MountOption("noexec", "Nothing there is ever run."),
        MountOption("softerr", "While the server is away the hub gets an error to show, and its threads come back."),
        MountOption("timeo=50", "Asked again after 5 s (the unit is 0.1 s): somebody waits on a page."),
        MountOption("retrans=2", "Two times, then the error: after 15 s."),
        MountOption("lookupcache=positive", "An answer that was not there a moment ago is looked for again."),
    )


def _common(version: NfsVersion) -> tuple[MountOption, ...]:
    return (
        MountOption(f"nfsvers={version}", "The version is said, so that no client falls back to one without state."),
        MountOption("noatime", "Reading a file does not write its access time back to the server."),
        MountOption("nosuid", "No program gains rights by its file's bits: whoever writes one does not become root."),
        MountOption("nodev", "No device file on the server opens a device of the node."),
        MountOption(
            "nconnect=4",
            "Four connections to the server: one alone does not fill a 10 Gbit/s link. Said by every mount, since a "
            "node's first one decides for all.",
        ),
    )
