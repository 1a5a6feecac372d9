"""The sync against a real directory and a real API server, by its own account; the hub reads what it wrote."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest
from debian_programs import LDAP_TOOLS, SLAPD, needs
from directory_bed import BIND_PASSWORD, PEOPLE, UNIX, DirectoryServer, directory_server
from identity_bed import SyncBed, table_path
from lab_authority import Authority

from components.hub.files.lab_hub.identities import IdentitiesAwayError, TableSource, cluster_table
from components.hub.files.lab_hub.identity import MOST_TABLE_BYTES, Identity, group_file, passwd_file, table_bytes
from labctl.control_plane.client import PatchType

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from pathlib import Path

    from cluster_api import Api
    from identity_bed import Account

    from labctl.control_plane import ControlPlane

pytestmark = needs(SLAPD, LDAP_TOOLS)

WEIRD = "we-2a-28ird-29-5c"
EVERYBODY = ("ana", "bo", "boss", "eve", WEIRD)
LDAP_GROUPS = {"base": UNIX, "filter": "(objectClass=posixGroup)"}


@pytest.fixture
def directory(tmp_path: Path) -> Generator[DirectoryServer]:
    with directory_server(tmp_path / "slapd") as server:
        server.change(
            "".join(
                f"dn: cn={name},{UNIX}\nchangetype: add\nobjectClass: posixGroup\ncn: {name}\ngidNumber: {gid}\n"
                + "".join(f"memberUid: {member}\n" for member in members)
                + "\n"
                for name, gid, members in (("imaging", 6001, ("ana", "bo")), ("docker", 998, ("ana",)))
            )
        )
        yield server


@pytest.fixture
def make(
    tmp_path: Path, hub_plane: ControlPlane, hub_api: Api, directory: DirectoryServer
) -> Generator[Callable[..., SyncBed]]:
    made: list[SyncBed] = []

    def make_bed(section: Mapping[str, object] | None = None, **changes: object) -> SyncBed:
        stack = f"s{uuid.uuid4().hex[:8]}"
        identity = {
            "kind": "ldap",
            "every": "1s",
            "directory": section or directory.section(groups=LDAP_GROUPS),
            **changes,
        }
        bed = SyncBed(tmp_path / stack, hub_plane, hub_api, stack, identity)
        made.append(bed)
        return bed

    yield make_bed
    for bed in made:
        bed.stop()
        bed.api.delete(f"/api/v1/namespaces/{bed.namespace}")


@pytest.fixture
def bed(make: Callable[..., SyncBed]) -> SyncBed:
    started = make()
    started.start(BIND_PASSWORD)
    started.comes_to(*EVERYBODY)
    return started


def test_everybody_of_the_directory_is_in_the_table_with_their_groups(bed: SyncBed) -> None:
    assert bed.table() == {
        "ana": "ana:2001:100:imaging=6001",
        "bo": "bo:2002:100:imaging=6001",
        "boss": "boss:2003:100:",
        "eve": "eve:2004:100:",
        WEIRD: "we*(ird)\\:2005:100:",
        "-groups": "operators=100",
    }
    assert "left out: cn=docker" in bed.log()
    bed.says("5 users; 6 rows new")
    bed.round_passes("good")
    assert bed.stored()["metadata"]["annotations"]["lab.internal/last-good-read"]
    version = bed.stored()["metadata"]["resourceVersion"]
    bed.round_passes("good")
    assert bed.stored()["metadata"]["resourceVersion"] == version, "what did not change is not written"
    assert bed.stop() == 0
    assert BIND_PASSWORD not in bed.log() + str(bed.stored())


@pytest.mark.parametrize("way", ["startTls", "member"])
def test_sealed_later_or_members_by_their_entries(
    make: Callable[..., SyncBed], directory: DirectoryServer, way: str
) -> None:
    if way == "startTls":
        section = directory.start_tls(groups=LDAP_GROUPS)
    else:
        # The same entry, spelled otherwise than it stands there.
        member = f"UID=Ana, {PEOPLE.upper()}"
        directory.change(
            f"dn: cn=imagers,{UNIX}\nchangetype: add\nobjectClass: groupOfNames\nobjectClass: extensibleObject\n"
            f"cn: imagers\ngidNumber: 6001\nmember: {member}\nmember: {directory.person('weird')}\n"
        )
        section = directory.section(
            groups={"base": UNIX, "filter": "(objectClass=groupOfNames)", "member": "member", "membersBy": "dn"}
        )
    bed = make(section)
    bed.start(BIND_PASSWORD)
    table = bed.comes_to(*EVERYBODY)
    group = "imaging" if way == "startTls" else "imagers"
    assert table["ana"] == f"ana:2001:100:{group}=6001"
    assert table[WEIRD].endswith(":" if way == "startTls" else "imagers=6001")


REFUSED_TO_THE_SYNC = (
    ("POST", "/api/v1/namespaces/{}/configmaps", {"metadata": {"name": "another"}}),
    ("POST", "/api/v1/namespaces/{}/configmaps", {"metadata": {"name": "identities"}}),
    ("PATCH", "/api/v1/namespaces/{}/configmaps/identity-sync-program", {"data": {"settings.json": "{}"}}),
    ("DELETE", "/api/v1/namespaces/{}/configmaps/identities", None),
    ("GET", "/api/v1/namespaces/{}/configmaps", None),
    ("GET", "/api/v1/namespaces/{}/configmaps/identity-sync-program", None),
    ("GET", "/api/v1/namespaces/{}/secrets", None),
    ("GET", "/api/v1/namespaces/{}/secrets/identity-sync-password", None),
    ("GET", "/api/v1/namespaces/hub-beds/configmaps/identities", None),
    ("GET", "/api/v1/namespaces", None),
    ("POST", "/api/v1/namespaces/{}/pods", {"metadata": {"name": "x"}}),
)


def test_the_syncs_account_writes_its_table_and_nothing_else(bed: SyncBed) -> None:
    account, own = bed.sync_account, table_path(bed.namespace)
    assert account.ask("GET", own) == 200
    assert account.ask("PATCH", own, {"data": {"eve": "eve:2004:100:"}}, kind=PatchType.MERGE) == 200
    for method, path, body in REFUSED_TO_THE_SYNC:
        kind = PatchType.MERGE if method == "PATCH" else None
        assert account.ask(method, path.format(bed.namespace), body, kind) == 403, (method, path)


def test_the_table_comes_back_when_somebody_deletes_it(bed: SyncBed) -> None:
    before = bed.table()
    bed.api.delete(table_path(bed.namespace))
    assert bed.comes_to(*EVERYBODY) == before


def test_the_hubs_account_reads_the_table_and_writes_nothing(bed: SyncBed) -> None:
    account, own = bed.hub_account, table_path(bed.namespace)
    assert account.ask("GET", own) == 200
    assert account.ask("GET", f"/api/v1/namespaces/{bed.namespace}/configmaps/identity-sync-program") == 403
    assert account.ask("GET", f"/api/v1/namespaces/{bed.namespace}/secrets") == 403
    forged = {"data": {"eve": "eve:2001:100:"}}
    assert account.ask("PATCH", own, forged, PatchType.MERGE) == 403
    assert account.ask("PATCH", f"{own}?fieldManager=x", forged, PatchType.APPLY) == 403
    assert account.ask("PUT", own, {"metadata": {"name": "identities"}, **forged}) == 403
    assert account.ask("DELETE", own) == 403
    assert account.ask("POST", f"/api/v1/namespaces/{bed.namespace}/configmaps", {"metadata": {"name": "x"}}) == 403


def read_as(account: Account, namespace: str, *names: str) -> list[object]:
    """Return what the hub finds of some users, by its own client and its own account; refusals in their place."""
    client = pytest.importorskip("kubernetes_asyncio.client", reason="the hub's own packages are not installed")
    clients = pytest.importorskip("kubespawner.clients")
    log = cast("Any", logging.getLogger("hub"))

    async def read() -> list[object]:
        configuration = client.Configuration(host=account.server)
        configuration.ssl_ca_cert = str(account.plane.directory / "pki" / "ca.crt")
        configuration.api_key = {"BearerToken": f"Bearer {account.token}"}
        async with client.ApiClient(configuration) as api:
            core = client.CoreV1Api(api)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(clients, "load_config", lambda: None)
                patch.setattr(clients, "shared_client", lambda _kind: core)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - a stand-in
                source = TableSource(cluster_table(namespace, "identities"))
                finds = (source.find(name, None, log) for name in names)
                return list(await asyncio.gather(*finds, return_exceptions=True))

    return asyncio.run(read())


def test_the_hub_finds_its_users_by_its_own_client(bed: SyncBed) -> None:
    ana, weird, nobody = read_as(bed.hub_account, bed.namespace, "ana", "we*(ird)\\", "mallory")
    assert cast("Any", ana).identity == Identity("ana", 2001, 100, (("imaging", 6001),))
    assert cast("Any", ana).primary == "operators"
    assert cast("Any", weird).identity.uid == 2005
    assert nobody is None


@pytest.mark.parametrize("missing", ["table", "right"])
def test_without_a_table_or_the_right_to_read_it_nobody_is_said_to_have_no_ids(
    make: Callable[..., SyncBed], missing: str
) -> None:
    bed = make()
    account = bed.hub_account if missing == "table" else bed.account(bed.namespace, "default")
    (refusal,) = read_as(account, bed.namespace, "ana")
    assert isinstance(refusal, IdentitiesAwayError)
    assert ("404" if missing == "table" else "403") in str(refusal)


def test_a_directory_that_is_away_leaves_the_table_as_it_is(bed: SyncBed, directory: DirectoryServer) -> None:
    before = bed.stored()
    directory.stop()
    bed.says("cannot be read")
    bed.round_passes()
    assert bed.stored()["data"] == before["data"]
    assert bed.process is not None
    assert bed.process.poll() is None, "it goes on trying"
    assert BIND_PASSWORD not in bed.log()


def test_half_of_the_people_gone_at_once_are_not_believed(bed: SyncBed, directory: DirectoryServer) -> None:
    before = bed.table()
    directory.change("\n".join(f"dn: {directory.person(key)}\nchangetype: delete\n" for key in ("ana", "bo", "boss")))
    bed.says("3 of 5 users would lose or change their user id (ana, bo, boss, ...), more than 50 %")
    assert bed.table() == before
    told = bed.folder / "program" / "settings.json"
    told.write_text(told.read_text().replace('"mostLost": 50', '"mostLost": 100'))
    bed.stop()
    bed.start(BIND_PASSWORD)
    bed.comes_to("eve", WEIRD)


def test_a_user_id_given_twice_stays_with_whoever_had_it(bed: SyncBed, directory: DirectoryServer) -> None:
    directory.change(
        f"dn: uid=mallory,{PEOPLE}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\ncn: m\n"
        "sn: m\nuid: mallory\nuidNumber: 2001\ngidNumber: 100\nhomeDirectory: /home/m\n"
    )
    bed.says("left out: mallory: the user id 2001 is ana's too")
    assert set(bed.table()) == {*EVERYBODY, "-groups"}


def test_a_renamed_user_has_the_same_ids_under_the_new_name(bed: SyncBed, directory: DirectoryServer) -> None:
    directory.change(f"dn: {directory.person('ana')}\nchangetype: modrdn\nnewrdn: uid=ana-maria\ndeleteoldrdn: 1\n")
    table = bed.comes_to("ana-2dmaria", "bo", "boss", "eve", WEIRD)
    assert table["ana-2dmaria"] == "ana-maria:2001:100:", "the group still names who is no more"


def test_root_in_the_directory_is_nobody_here(bed: SyncBed, directory: DirectoryServer) -> None:
    directory.change(f"dn: {directory.person('eve')}\nchangetype: modify\nreplace: uidNumber\nuidNumber: 0\n")
    bed.says(f"left out: uid=eve,{PEOPLE}: the user id 0 is not a person's")
    bed.comes_to("ana", "bo", "boss", WEIRD)


@pytest.mark.parametrize("wrong", ["password", "authority", "base"])
def test_a_directory_that_cannot_be_trusted_or_read_makes_no_table(
    make: Callable[..., SyncBed], directory: DirectoryServer, wrong: str
) -> None:
    changes: dict[str, dict[str, object]] = {
        "password": {},
        "authority": {"authority": Authority("Somebody else").certificate},
        "base": {"users": {"base": "ou=nowhere,dc=lab,dc=example"}},
    }
    bed = make(directory.section(groups=LDAP_GROUPS, **changes[wrong]))
    password = "wr0ng-s3cret" if wrong == "password" else BIND_PASSWORD
    bed.start(password)
    bed.says(
        {"password": "InvalidCredentials", "authority": "certificate verify failed", "base": "NoSuchObject"}[wrong]
    )
    assert bed.table() == {}
    assert password not in bed.log()
    alive = bed.folder / "program" / "lab" / "identity_sync" / "alive.py"
    for file, status in (("round", 0), ("good", 1)):
        asked = [sys.executable, str(alive), str(bed.folder / "state" / file), "600"]
        bed.round_passes()
        assert subprocess.run(asked, check=False, capture_output=True).returncode == status, file


@pytest.mark.parametrize(("users", "groups"), [(5000, 9), (28000, 0)])
def test_the_largest_table_that_counts_as_fitting_is_taken(
    make: Callable[..., SyncBed], users: int, groups: int
) -> None:
    bed = make()
    of_each = tuple((f"project-{number:03}", 20000 + number) for number in range(groups))
    table = {
        f"user{number:05}": Identity(f"user{number:05}", 30000 + number, 10000, of_each).row()
        for number in range(users)
    }
    assert 0.8 * MOST_TABLE_BYTES < table_bytes(table) <= MOST_TABLE_BYTES
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "identities"}, "data": table}
    path = f"{table_path(bed.namespace)}?fieldManager=identity-sync&force=true"
    assert bed.sync_account.ask("PATCH", path, body, PatchType.APPLY) == 201
    (found,) = read_as(bed.hub_account, bed.namespace, "user00042")
    assert cast("Any", found).identity.uid == 30042


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts files over /etc in a namespace of its own: needs root")
def test_programs_know_their_user_by_the_two_files(tmp_path: Path) -> None:
    identity = Identity("we*(ird)\\", 2005, 6000, (("Domain Users", 6002), ("imaging", 6003)))
    (tmp_path / "passwd").write_text(passwd_file(identity, "/home/jovyan", "/bin/bash"))
    (tmp_path / "group").write_text(group_file(identity, "lab"))
    script = (
        f"mount --bind {tmp_path}/passwd /etc/passwd; mount --bind {tmp_path}/group /etc/group; "
        "exec setpriv --reuid 2005 --regid 6000 --groups 6002,6003 --no-new-privs --inh-caps=-all "
        "sh -c 'id -un; id -gn; id -Gn; getent passwd 2005; getent group imaging; echo ~'"
    )
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script],  # noqa: S607 - the system's
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": "/home/jovyan"},
    )
    assert said.stdout.splitlines() == [
        "we*(ird)\\",
        "lab",
        "lab Domain Users imaging",
        "we*(ird)\\:x:2005:6000:we*(ird)\\:/home/jovyan:/bin/bash",
        "imaging:x:6003:we*(ird)\\",
        "/home/jovyan",
    ]
