"""A home from the first sign-in to the first file, over NFS: asked for, made, and mounted by its owner.

A request written by an NFS server wakes the path unit as one written by anybody else; and what is made while the server
runs is seen through it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import pytest
from bed import Bed, Host
from nfs_client import PACKAGES, Mount, NfsError
from storage_hosts import StorageHosts, lay_disks, pool, prepare_storage
from test_storage_exports import install

from components.hub.files.lab_hub.home_requests import Answer, HomeRequest, Status
from components.nodes.config import NodesConfig
from components.storage.config import StorageConfig
from components.storage.export_files import GRACE_SECONDS

STEPS = ("zfs", "pool", "datasets", "exports", "homes")
SECONDS = 45.0
"""For an answer, and for the server to read its exports again, on a busy machine; less than the minute after which
somebody looks for what was not noticed."""
QUICK = (f"Grace_Period = {GRACE_SECONDS};", "Grace_Period = 5;")
"""Nobody is to wait a minute for files to be opened."""
USERS = 100
HUB = 1000
"""User id of the hub's process, which means nothing to the export."""


@dataclass(frozen=True)
class Lab:
    """A storage host that exports to itself, in the place of a node."""

    hosts: StorageHosts
    storage: StorageConfig

    @property
    def host(self) -> Host:
        return self.hosts.host()

    def mount(self, path: str, uid: int, gid: int = USERS) -> Mount:
        return Mount(self.host, self.host.address, path, uid, gid)


def as_node(hosts: StorageHosts) -> NodesConfig:
    config = hosts.nodes()
    changed = {name: host.model_copy(update={"roles": ("storage", "worker")}) for name, host in config.hosts.items()}
    return config.model_copy(update={"hosts": changed})


@pytest.fixture(scope="module")
def lab(make_bed: Callable[[int], Bed], tmp_path_factory: pytest.TempPathFactory) -> Generator[Lab]:
    """One host with a pool, its datasets, its exports, and what makes homes."""
    with prepare_storage(make_bed(1), tmp_path_factory.mktemp("packages")) as hosts:
        install(hosts, hosts.host(), *PACKAGES)
        lay_disks(hosts.host(), "a", size=512 * 2**20)
        homes = {"path": "/tank/homes", "each": "16Mi"}
        storage = hosts.storage({"tank": pool("stripe", ["/disks/a"])}, homes=homes)
        for step in hosts.steps(storage, as_node(hosts), STEPS):
            # The client speaks version 4.0 alone.
            settings = str(step.values.get("SETTINGS", ""))
            for planned, here in (("Minor_Versions = 1, 2;", "Minor_Versions = 0, 1, 2;"), QUICK):
                settings = settings.replace(planned, here)
            values = {**step.values, "SETTINGS": settings} if step.name == "exports" else step.values
            report = hosts.run(replace(step, values=values))
            assert report.code == 0, report.err
        yield Lab(hosts, storage)


def obtain(hub: Mount, request: HomeRequest) -> Answer:
    """Ask as the hub's module does, call by call, over NFS."""
    name = f"{request.namespace}.{request.claim}.{secrets.token_hex(8)}"
    hub.call("create", f"/requests/.{name}", request.text())
    hub.call("rename", f"/requests/.{name}", f"/requests/{name}")
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return Answer.parse(str(hub.call("read", f"/answers/{name}")))
        except NfsError as error:
            if error.name != "ENOENT" or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def write_at_home(lab: Lab, path: str, uid: int) -> list[object]:
    """Mount a home as its owner, as soon as the server exports it, and write; return whose the file is."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with lab.mount(path, uid) as home:
                home.call("create", "/notes", "first")
                assert home.call("read", "/notes") == "first"
                found = home.call("stat", "/notes")
                assert isinstance(found, list)
                return [*found]  # pyright: ignore[reportUnknownVariableType] - of JSON
        except NfsError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_home_from_the_first_sign_in_to_the_first_file(lab: Lab) -> None:
    with lab.mount("/tank/home-requests", HUB, HUB) as hub:
        answer = obtain(hub, HomeRequest("hub-prod", "home-ada", 1001, USERS))
        assert answer == Answer(Status.MADE, "/tank/homes/hub-prod/home-ada", "")
        assert write_at_home(lab, answer.path, 1001) == [1001, USERS, "0o600"]
        again = obtain(hub, HomeRequest("hub-prod", "home-ada", 1001, USERS))
        assert again.status is Status.EXISTS
        other = obtain(hub, HomeRequest("hub-prod", "home-ada", 1002, USERS))
        assert (other.status, other.reason) == (Status.REFUSED, "the home is user id 1001's")
    with lab.mount("/tank/homes/hub-prod/home-ada", 1002) as stranger, pytest.raises(NfsError, match="EACCES"):
        stranger.call("read", "/notes")


def test_what_the_path_unit_saw_was_written_by_the_server(lab: Lab) -> None:
    with lab.mount("/tank/home-requests", HUB, HUB) as hub:
        started = time.monotonic()
        assert obtain(hub, HomeRequest("hub-prod", "home-eve", 1003, USERS)).status is Status.MADE
        # The look for what was not noticed comes once a minute; it was not what found this.
        assert time.monotonic() - started < SECONDS
    journal = lab.host.console("journalctl -u research-compute-homes-look --no-pager")
    assert "has not seen requests" not in journal


def test_the_hub_can_answer_nobody_and_be_nobody_else(lab: Lab) -> None:
    with lab.mount("/tank/home-requests", 0, 0) as hub:
        for path in ("/answers/forged", "/elsewhere"):
            with pytest.raises(NfsError, match="EACCES"):
                hub.call("create", path, "x")
        hub.call("create", "/requests/.mine", "")
        assert hub.call("stat", "/requests/.mine") == [60_900, 60_900, "0o600"]


def test_the_driver_finds_the_folder_of_a_claim_and_makes_none(lab: Lab) -> None:
    """csi-driver-nfs makes a claim's folder as root, who is squashed: content with one that is there."""
    with lab.mount("/tank/homes", 0, 0) as driver:
        with pytest.raises(NfsError, match="EACCES"):
            driver.call("mkdir", "/hub-prod/home-unasked")
        with pytest.raises(NfsError, match="EACCES"):
            driver.call("mkdir", "/hub-other")
    with lab.mount("/tank/homes/hub-prod/home-ada", 0, 0) as root, pytest.raises(NfsError, match="EACCES"):
        root.call("ls", "/")


def test_a_quota_reaches_the_user(lab: Lab) -> None:
    with lab.mount("/tank/home-requests", HUB, HUB) as hub:
        path = obtain(hub, HomeRequest("hub-prod", "home-full", 1004, USERS)).path
    write_at_home(lab, path, 1004)
    nearly = f"dd if=/dev/urandom of={path}/most bs=64k count=250 conv=fsync status=none; sync"
    lab.host.console(f"setpriv --reuid 1004 --regid {USERS} --clear-groups sh -c '{nearly}'")
    with lab.mount(path, 1004) as home:
        home.call("create", "/rest", "")
        with pytest.raises(NfsError, match=r"NFS4ERR_(DQUOT|NOSPC)"):
            append_for(home, "/rest", kibibytes=4096)


def append_for(home: Mount, path: str, *, kibibytes: int) -> None:
    """Append so much to a file, in writes small enough for the client."""
    for _ in range(kibibytes):
        home.call("append", path, secrets.token_hex(512))
