"""A real directory on loopback: slapd with people and groups of a small lab, sealed by an authority of the tests."""

from __future__ import annotations

import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from debian_programs import LDAP_TOOLS, SLAPD, path_of
from lab_authority import Authority
from signin_bed import end, free_port, running

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["BIND_DN", "BIND_PASSWORD", "SUFFIX", "DirectoryServer", "directory_server", "password_of"]

SUFFIX = "dc=lab,dc=example"
BIND_DN, BIND_PASSWORD = f"cn=hub,{SUFFIX}", "b1nd-s3cret"
ROOT_DN, ROOT_PASSWORD = f"cn=root,{SUFFIX}", "r00t-s3cret"
PEOPLE, GROUPS, UNIX = f"ou=people,{SUFFIX}", f"ou=groups,{SUFFIX}", f"ou=unix,{SUFFIX}"

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCACertificateFile {folder}/authority.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
# Passwords pass sealed or not at all; only a test of what is not sealed takes this away.
security simple_bind={strength}
localSSF 256
database mdb
maxsize 16777216
suffix {suffix}
rootdn {root}
rootpw {root_password}
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact={bind} read by * none
"""

PEOPLE_OF_THE_LAB = {
    # DN's first part (as in RFC 4514), uid, number
    "ana": ("uid=ana", "ana", 2001),
    "bo": ("uid=bo", "bo", 2002),
    "boss": ("uid=boss", "boss", 2003),
    "eve": ("uid=eve", "eve", 2004),
    # What a filter or a name has to escape, all in one person.
    "weird": (r"cn=We\\ird\, (a*) \+ b", "we*(ird)\\", 2005),
}
MEMBERS = {"students": ("ana", "bo", "weird"), "staff": ("ana",), "operators": ("boss",)}


def password_of(key: str) -> str:
    """Return somebody's password."""
    return f"pass-{key}-word"


@dataclass(frozen=True)
class DirectoryServer:
    """A directory that runs."""

    folder: Path
    authority: Authority
    port: int
    sealed_port: int
    process: list[subprocess.Popen[bytes]] = field(default_factory=list["subprocess.Popen[bytes]"])

    @property
    def local(self) -> str:
        """Its address for whoever may write to its folder."""
        return f"ldapi://{quote(str(self.folder / 'socket'), safe='')}/"

    def stop(self) -> None:
        """Have it go away, as in a restart that takes long."""
        for each in self.process:
            end(each)

    def person(self, key: str) -> str:
        """Return somebody's name in the directory."""
        return f"{PEOPLE_OF_THE_LAB[key][0]},{PEOPLE}"

    def change(self, text: str) -> None:
        """Change what is in it: lines of LDIF."""
        tool = path_of(LDAP_TOOLS).with_name("ldapmodify")
        changed = subprocess.run(
            [str(tool), "-x", "-H", self.local, "-D", ROOT_DN, "-w", ROOT_PASSWORD],
            input=text,
            text=True,
            check=False,
            capture_output=True,
        )
        assert changed.returncode == 0, changed.stderr

    def leaves(self, key: str, group: str) -> None:
        """Take somebody out of a group."""
        self.change(
            f"dn: cn={group},{GROUPS}\nchangetype: modify\ndelete: member\nmember: {self.person(key)}\n\n"
            f"dn: cn={group},{UNIX}\nchangetype: modify\ndelete: memberUid\nmemberUid: {PEOPLE_OF_THE_LAB[key][1]}\n"
        )

    def section(self, **changes: object) -> dict[str, object]:
        """Return how the stack file says all this."""
        return {
            "server": "localhost",
            "tls": "ldaps",
            "port": self.sealed_port,
            "authority": self.authority.certificate,
            "networks": ["127.0.0.0/8"],
            "bindDn": BIND_DN,
            "bindPassword": {"secret": "directoryPassword"},
            "users": {"base": PEOPLE, "filter": "(objectClass=inetOrgPerson)"},
            "groups": {"base": GROUPS, "filter": "(objectClass=groupOfNames)", "member": "member", "membersBy": "dn"},
            **changes,
        }

    def start_tls(self, **changes: object) -> dict[str, object]:
        """Return the same over StartTLS."""
        return self.section(tls="startTls", port=self.port, **changes)


@contextmanager
def directory_server(folder: Path, *, is_sealed: bool = True) -> Generator[DirectoryServer]:
    """Run a directory while this lasts."""
    authority = Authority("Directory CA")
    server = DirectoryServer(folder, authority, free_port(), free_port())
    certificate, key = authority.issue("localhost")
    (folder / "data").mkdir(parents=True)
    written = {
        "authority.pem": authority.certificate,
        "server.pem": certificate,
        "server.key": key,
        "people.ldif": _people(server),
        "slapd.conf": CONFIGURATION.format(
            folder=folder,
            suffix=SUFFIX,
            root=ROOT_DN,
            root_password=ROOT_PASSWORD,
            bind=BIND_DN,
            strength=128 if is_sealed else 0,
        ),
    }
    for name, text in written.items():
        (folder / name).write_text(text)
    slapd = path_of(SLAPD)
    configuration = str(folder / "slapd.conf")
    adding = [str(slapd.with_name("slapadd")), "-q", "-f", configuration, "-l", str(folder / "people.ldif")]
    added = subprocess.run(adding, capture_output=True, text=True, check=False)
    assert added.returncode == 0, added.stderr
    listening = f"ldap://127.0.0.1:{server.port}/ ldaps://127.0.0.1:{server.sealed_port}/ {server.local}"
    command = [str(slapd), "-d", "256", "-f", configuration, "-h", listening]
    with running(command, folder / "slapd.log", lambda: _listens(server.port)) as process:
        server.process.append(process)
        yield server


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _people(server: DirectoryServer) -> str:
    entries = [f"dn: {SUFFIX}\nobjectClass: domain\ndc: lab\n"]
    entries += [
        f"dn: {dn}\nobjectClass: organizationalUnit\nou: {dn[3:].split(',')[0]}\n" for dn in (PEOPLE, GROUPS, UNIX)
    ]
    entries.append(
        f"dn: {BIND_DN}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: hub\n"
        f"userPassword: {BIND_PASSWORD}\n"
    )
    for key, (_, uid, number) in PEOPLE_OF_THE_LAB.items():
        common = r"We\ird, (a*) + b" if key == "weird" else key
        entries.append(
            f"dn: {server.person(key)}\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\ncn: {common}\n"
            f"sn: {key}\nuid: {uid}\nuidNumber: {number}\ngidNumber: 100\nhomeDirectory: /home/{key}\n"
            f"userPassword: {password_of(key)}\n"
        )
    for group, members in MEMBERS.items():
        names = "".join(f"member: {server.person(key)}\n" for key in members)
        uids = "".join(f"memberUid: {PEOPLE_OF_THE_LAB[key][1]}\n" for key in members)
        # A group of names may not be without any: the root stands in.
        entries.append(f"dn: cn={group},{GROUPS}\nobjectClass: groupOfNames\ncn: {group}\nmember: {ROOT_DN}\n{names}")
        entries.append(f"dn: cn={group},{UNIX}\nobjectClass: posixGroup\ncn: {group}\ngidNumber: 100\n{uids}")
    return "\n".join(entries)
