"""The files that tell an NFS server what to export: of the kernel's own, and of nfs-ganesha. Pure.

Both serve version 4 alone, so that neither a port mapper nor a lock manager listens; one client is one line, so that a
preview shows which came or went.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .exports_plan import Export

__all__ = [
    "BENEATH",
    "EXPORT_OPTIONS",
    "ExportOption",
    "ganesha_exports",
    "ganesha_settings",
    "kernel_exports",
    "kernel_settings",
]

LEASE_SECONDS = 60
"""How long a client that fell silent keeps its locks and open files: longer than a switch takes to restart, shorter
than people wait for a lock of a node that died (RFC 8881, 8.3; the kernel's default is 90)."""
GRACE_SECONDS = 60
"""How long a server that came back lets clients only reclaim what they had: one lease, or some would come too late
(RFC 8881, 8.4.2.1). Both servers end it sooner if all clients they knew are back."""
BENEATH = "# With what is mounted beneath."
"""Marks an export of nfs-ganesha's whose children are exported, too (``files/ganesha-exports.sh``)."""
EXPORTS_FILE = "/etc/ganesha/research-compute-exports.conf"
BENEATH_FILE = "/etc/ganesha/research-compute-beneath.conf"


@dataclass(frozen=True, slots=True)
class ExportOption:
    """One option of exports(5), and why."""

    text: str
    reason: str


EXPORT_OPTIONS = (
    ExportOption("sync", "What was said to be written is on the disks; otherwise a power cut loses it silently."),
    ExportOption("no_subtree_check", "A file renamed while it is open stays open; an export is a whole file system."),
    ExportOption("secure", "Only ports below 1024, which a process needs a capability for: no user's own program."),
    ExportOption("mountpoint", "Only while its file system is mounted: nothing is written beneath a missing pool."),
)
"""Of every export. Who is squashed, to whom, and the identifier differ from export to export.

User ids are those the node says (``sec=sys``): Kerberos would need a ticket in every notebook. It is the default and
stays unsaid: written before a client's ``rw``, it would hold that client to the ``ro`` in force where it stands."""


def kernel_settings(threads: int) -> str:
    """Return nfs.conf(5) of the kernel's server, for a host that works on so many requests at the same time."""
    lines = (
        "[nfsd]",
        f"threads={threads}",
        "udp=n",
        "tcp=y",
        "vers3=n",
        "vers4=y",
        # 4.0 has no sessions: a request that is repeated after a lost answer may be done twice.
        "vers4.0=n",
        "vers4.1=y",
        "vers4.2=y",
        f"lease-time={LEASE_SECONDS}",
        f"grace-time={GRACE_SECONDS}",
        "[mountd]",
        # Debian's own is y: then the groups a client names are passed over for those that the storage host knows of,
        # and it knows nobody. The price of n: the protocol carries 16 groups (RFC 5531, 8.1).
        "manage-gids=n",
    )
    return _text(lines)


def kernel_exports(exports: Iterable[Export]) -> str:
    """Return exports(5): one export per paragraph, its options first, then a client per line."""
    lines: list[str] = []
    for export in exports:
        children = ("crossmnt",) if export.with_children else ()
        options = ",".join(
            (
                *(option.text for option in EXPORT_OPTIONS),
                export.squash.value,
                f"anonuid={export.anonymous_uid}",
                f"anongid={export.anonymous_gid}",
                *children,
                f"fsid={export.fsid}",
            )
        )
        clients = [f"{client.text}({'rw' if client.writes else 'ro'})" for client in export.clients]
        if clients:
            lines += [" \\\n    ".join((f"{export.path} -{options}", *clients))]
    return _text(lines)


def ganesha_settings(threads: int) -> str:
    """Return ganesha.conf but for the exports, for a host that works on so many requests at the same time."""
    lines = (
        "NFS_CORE_PARAM {",
        "    Protocols = 4;",
        "    Enable_UDP = false;",
        "    Enable_NLM = false;",
        "    Enable_RQUOTA = false;",
        "    mount_path_pseudo = true;",
        f"    RPC_Ioq_ThrdMax = {threads};",
        "}",
        "NFSv4 {",
        "    Minor_Versions = 1, 2;",
        f"    Lease_Lifetime = {LEASE_SECONDS};",
        f"    Grace_Period = {GRACE_SECONDS};",
        # People are numbers here: the storage host knows none of them by name.
        "    Only_Numeric_Owners = true;",
        "}",
        "EXPORT_DEFAULTS {",
        # Nobody, unless a CLIENT block of the export says otherwise.
        "    Access_Type = None;",
        "    Protocols = 4;",
        "    Transports = TCP;",
        "    SecType = sys;",
        "    PrivilegedPort = true;",
        "    Squash = root_squash;",
        "}",
        f'%include "{EXPORTS_FILE}"',
        f'%include "{BENEATH_FILE}"',
    )
    return _text(lines)


def ganesha_exports(exports: Iterable[Export]) -> str:
    """Return the exports as nfs-ganesha reads them (ganesha-export-config(8))."""
    return "".join(_ganesha_export(export) for export in exports if export.clients)


def _ganesha_export(export: Export) -> str:
    clients = [
        line
        for access, members in (
            ("RW", [client.text for client in export.clients if client.writes]),
            ("RO", [client.text for client in export.clients if not client.writes]),
        )
        if members
        for line in (
            "    CLIENT {",
            "        Clients =",
            *(f"            {member}{';' if member is members[-1] else ','}" for member in members),
            f"        Access_Type = {access};",
            "    }",
        )
    ]
    lines = (
        "EXPORT {",
        *((f"    {BENEATH}",) if export.with_children else ()),
        f"    Export_Id = {export.export_id};",
        f"    Path = {export.path};",
        f"    Pseudo = {export.path};",
        f"    Squash = {export.squash.value};",
        f"    Anonymous_uid = {export.anonymous_uid};",
        f"    Anonymous_gid = {export.anonymous_gid};",
        # What the host itself writes is seen at once; elsewhere only clients write, and the server knows of it.
        *(("    Attr_Expiration_Time = 0;",) if export.changes_on_host else ()),
        *clients,
        "    FSAL {",
        "        Name = VFS;",
        "    }",
        "}",
    )
    return _text(lines)


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
