"""Exports on a real host: what the step wrote is served by nfs-ganesha, and tried by a client in user space.

The file systems are zfs-fuse's. The client speaks version 4.0 alone, so the server is told to speak that as well; that
it speaks 4.1 and 4.2 otherwise, and nothing older, is asked of it directly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address

import nfs_probe
import pytest
from bed import Bed, Host
from cluster_api import eventually
from nfs_client import PACKAGES, Mount, NfsError
from storage_hosts import StorageHosts, lay_disks, pool, prepare_storage

from components.nodes.config import NodesConfig, Role
from components.nodes.steps import Step
from components.storage.config import NfsServer, StorageConfig
from components.storage.datasets_plan import dataset_plans
from components.storage.export_files import GRACE_SECONDS
from components.storage.exports_plan import export_steps

ADA, BOB = 1001, 1002
PHYSICS, USERS = 5001, 100
NOBODY = 65_534
HOME = "/tank/homes/hub-test/claim-ada"
CLAIM = "/hub-test/claim-x"
QUICK_SECONDS = 5
"""Grace period of the tests' server: nobody is to wait a minute each time it begins. Its lease is as planned, for a
client that a busy machine keeps waiting."""
UNTIL_IT_LISTENS = "until ss -Hltn 'sport = 2049' | grep -q .; do sleep 0.1; done"
"""The client takes a port that nobody listens on for an error; the kernel's tries again (nfs(5), ``hard``)."""
SECOND, OUTSIDE = "2001:db8:7::11", "2001:db8:9::/64"
"""The storage host's second address, where it is a node, and a network of workstations: nobody calls from there."""
STORE, NODE = 0, 1
"""Hosts of the bed: the one that exports, the one that mounts."""


@dataclass(frozen=True)
class Exports:
    """A storage host with file systems, and the step that exports them."""

    hosts: StorageHosts
    storage: StorageConfig

    @property
    def store(self) -> Host:
        return self.hosts.host(STORE)

    @property
    def node(self) -> Host:
        return self.hosts.host(NODE)

    def nodes(self, *members: str) -> NodesConfig:
        """Return the section with these hosts as workers; all are there."""
        config = self.hosts.nodes()
        changed = {
            name: host.model_copy(update={"roles": (Role.STORAGE, Role.WORKER), "second_address": ip_address(SECOND)})
            if name == self.store.name
            else host.model_copy(update={"roles": (Role.WORKER,)})
            for name, host in config.hosts.items()
            if name in members
        }
        return config.model_copy(update={"hosts": {**config.hosts, **changed}})

    def step(self, *members: str) -> Step:
        """Return the step for a lab with these nodes; the server speaks 4.0 too, and is quick to begin again."""
        assert self.storage.nfs is not None
        nfs = self.storage.nfs
        steps = export_steps(nfs, dataset_plans(nfs), self.nodes(*members))
        step = next(step for step in steps if step.name == "exports")
        settings = str(step.values["SETTINGS"]).replace("Minor_Versions = 1, 2;", "Minor_Versions = 0, 1, 2;")
        planned = f"Grace_Period = {GRACE_SECONDS};"
        assert planned in settings
        settings = settings.replace(planned, f"Grace_Period = {QUICK_SECONDS};")
        return replace(step, values={**step.values, "SETTINGS": settings})

    def scratch_step(self) -> Step:
        """Return the step that has put-aside scratch space deleted."""
        assert self.storage.nfs is not None
        nfs = self.storage.nfs
        return next(step for step in export_steps(nfs, dataset_plans(nfs), self.nodes()) if step.name == "scratch")

    def mount(self, path: str, uid: int, *groups: int, gid: int = USERS, host: Host | None = None) -> Mount:
        return Mount(host or self.node, self.store.address, path, uid, gid, groups)


@pytest.fixture(scope="module")
def exports(make_bed: Callable[[int], Bed], tmp_path_factory: pytest.TempPathFactory) -> Generator[Exports]:
    """A storage host with a pool and its file systems, and a node; both can be clients."""
    with prepare_storage(make_bed(2), tmp_path_factory.mktemp("mirror") / "bundle") as hosts:
        for host in hosts.bed.hosts:
            install(hosts, host, *PACKAGES)
        store = hosts.host(STORE)
        install(hosts, store, "zfs-fuse")
        disks = lay_disks(store, "exports-1")
        storage = hosts.storage(
            {"tank": pool("stripe", disks)},
            clients=[OUTSIDE, "198.51.100.0/28"],
            scratch={"path": "/tank/scratch", "onDelete": "delete"},
            shared=[
                {"name": "datasets", "path": "/tank/datasets", "mountPath": "/srv/datasets", "size": "64Mi"},
                {
                    "name": "secret",
                    "path": "/tank/secret",
                    "mountPath": "/srv/secret",
                    "size": "64Mi",
                    "readers": ["physics"],
                },
            ],
            groups={"physics": {"gid": PHYSICS}},
            groupFolders={"path": "/tank/groups", "mountPath": "/srv/groups"},
        )
        assert storage.nfs is not None
        lines = ["set -e", f"zpool create -f tank {disks[0]}"]
        for plan in dataset_plans(storage.nfs):
            access = plan.access
            lines += [f"zfs create {plan.name}", f"chown {access.uid}:{access.gid} {plan.path}"]
            lines += [f"chmod {access.mode} {plan.path}"]
        lines += [make_home("claim-ada", ADA), make_home("claim-bob", BOB)]
        lines += ["echo data >/tank/datasets/file; install -m 0640 -g 5001 /dev/null /tank/secret/file"]
        lines += [f"install -d -m 0700 -o {60_900} -g {60_900} /tank/home-requests/requests"]
        store.console("\n".join(lines), seconds=120)
        made = Exports(hosts, storage)
        step = made.step(made.node.name)
        done = hosts.run(step)
        assert "package nfs-ganesha" in done.changed, done.err
        yield made


def install(hosts: StorageHosts, host: Host, *packages: str) -> None:
    """Leave packages installed that no step installs: a client's."""
    sources = "-o Dir::Etc::SourceList=/tmp/bed.list -o Dir::Etc::SourceParts=/dev/null"
    options = f"-qq {sources} -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
    host.console(
        f"echo 'deb [trusted=yes] {hosts.mirror.url}/apt/bookworm ./' >/tmp/bed.list; apt-get {options} update && "
        f"DEBIAN_FRONTEND=noninteractive apt-get {options} install --yes --no-install-recommends {' '.join(packages)}",
        seconds=300,
    )


def make_home(claim: str, uid: int) -> str:
    """Return what the homes' maker does on the storage host, as far as it matters here."""
    dataset = f"tank/homes/hub-test/{claim}"
    return f"zfs create -p {dataset}; chown {uid}:{uid} /{dataset}; chmod 0700 /{dataset}"


def refused(mount: Mount, name: str, *given: object) -> str:
    """Return the name of the error a call is refused with."""
    with pytest.raises(NfsError) as caught:
        mount.call(name, *given)
    return caught.value.name


def refused_by_now(mount: Mount, name: str, *given: object) -> str | None:
    """Return the name of the error a call is refused with, or nothing as long as it is not."""
    try:
        mount.call(name, *given)
    except NfsError as error:
        return error.name
    return None


@contextmanager
def mounted_soon(mount: Mount) -> Generator[Mount]:
    """Mount what the server has been told of just now: it is told by a signal, and reads at its leisure."""

    def mounted() -> Mount | None:
        try:
            return mount.__enter__()
        except NfsError:
            return None

    eventually(mounted)
    try:
        yield mount
    finally:
        mount.__exit__(None, None, None)


def test_an_owner_reads_and_writes_at_home(exports: Exports) -> None:
    with exports.mount(HOME, ADA) as home:
        home.call("create", "/notes", "what I did")
        assert home.call("read", "/notes") == "what I did"
        assert home.call("stat", "/notes") == [ADA, USERS, "0o600"]
        home.call("mkdir", "/results", 0o755)
        assert home.call("ls", "/") == ["notes", "results"]
    assert exports.store.console(f"cat {HOME}/notes") == "what I did"


def test_nobody_else_looks_into_a_home(exports: Exports) -> None:
    with exports.mount(HOME, ADA) as home:
        home.call("create", "/private", "mine")
    with exports.mount(HOME, BOB) as other:
        assert refused(other, "ls", "/") == "EACCES"
        assert refused(other, "read", "/private") == "EACCES"
    with exports.mount(HOME, 0, gid=0) as root:
        assert refused(root, "ls", "/") == "EACCES"
        assert refused(root, "create", "/by-root", "") == "EACCES"


def test_root_is_nobody_and_makes_no_homes(exports: Exports) -> None:
    """What csi-driver-nfs does: a folder that is there is found, one that is not cannot be made."""
    with exports.mount("/tank/homes", 0, gid=0) as root:
        assert root.call("ls", "/hub-test") == ["claim-ada", "claim-bob"]
        assert root.call("stat", "/hub-test/claim-ada") == [ADA, ADA, "0o700"]
        assert refused(root, "mkdir", "/hub-test/claim-new") == "EACCES"
        assert refused(root, "mkdir", "/hub-other") == "EACCES"


def test_a_home_made_later_appears_once_the_server_is_told(exports: Exports) -> None:
    """The kernel's server needs no telling; the homes' maker reloads nfs-ganesha."""
    exports.store.console(make_home("claim-cleo", 1003))
    exports.store.console("zfs create tank/homes/hub-late; " + "systemctl reload nfs-ganesha.service")
    with mounted_soon(exports.mount("/tank/homes/hub-test/claim-cleo", 1003)) as home:
        home.call("create", "/first", "x")
    with exports.mount("/tank/homes", 0, gid=0) as root:
        assert root.call("ls", "/hub-late") == []
        assert "claim-cleo" in str(root.call("ls", "/hub-test"))


def test_scratch_is_made_by_root_and_used_by_the_group(exports: Exports) -> None:
    """What csi-driver-nfs does with a claim of scratch space: MkdirAll, then chmod to mountPermissions."""
    with exports.mount("/tank/scratch", 0, gid=0) as root:
        root.call("mkdir", "/hub-test", 0o777)
        root.call("mkdir", CLAIM, 0o2770)
        assert root.call("stat", CLAIM) == [NOBODY, USERS, "0o2770"]
    with exports.mount("/tank/scratch", ADA) as user:
        user.call("create", f"{CLAIM}/data", "1")
        user.call("mkdir", f"{CLAIM}/deep", 0o755)
        user.call("create", f"{CLAIM}/deep/data", "2")
    with exports.mount("/tank/scratch", BOB, gid=BOB) as other:
        assert refused(other, "ls", CLAIM) == "EACCES"


def test_root_cannot_delete_what_users_made_but_can_put_it_aside(exports: Exports) -> None:
    """Why a claim of scratch space is archived by the driver, and deleted by the storage host."""
    with exports.mount("/tank/scratch", ADA) as user, exports.mount("/tank/scratch", 0, gid=0) as root:
        root.call("mkdir", "/hub-aside", 0o777)
        root.call("mkdir", "/hub-aside/claim", 0o2770)
        user.call("mkdir", "/hub-aside/claim/deep", 0o755)
        user.call("create", "/hub-aside/claim/deep/data", "2")
        assert refused(root, "unlink", "/hub-aside/claim/deep/data") == "EACCES"
        root.call("mkdir", "/archived-hub-aside", 0o777)
        root.call("rename", "/hub-aside/claim", "/archived-hub-aside/claim")
        assert root.call("ls", "/hub-aside") == []
    step = exports.scratch_step()
    assert exports.hosts.run(step).changed[-1] == "service research-compute-scratch.timer"
    assert exports.hosts.run(step).changed == ()
    exports.store.console("systemctl start research-compute-scratch.service")
    assert exports.store.console("ls /tank/scratch").split() == ["hub-aside", "hub-test"]
    assert exports.hosts.run(step, "check").changed == ()
    assert "absent /etc/systemd/system/research-compute-scratch.timer" in exports.hosts.run(step, "undo").changed


def test_shared_folders_are_read_and_not_written(exports: Exports) -> None:
    with exports.mount("/tank/datasets", ADA) as user:
        assert user.call("read", "/file") == "data\n"
        assert refused(user, "create", "/mine", "") == "EROFS"
    with exports.mount("/tank/datasets", 0, gid=0) as root:
        assert refused(root, "unlink", "/file") == "EROFS"


def test_a_folder_for_readers_is_theirs_alone(exports: Exports) -> None:
    with exports.mount("/tank/secret", ADA, PHYSICS) as member:
        assert member.call("read", "/file") == ""
    with exports.mount("/tank/secret", BOB) as other:
        assert refused(other, "ls", "/") == "EACCES"


def test_what_is_made_in_a_group_s_folder_belongs_to_the_group(exports: Exports) -> None:
    with exports.mount("/tank/groups", ADA, PHYSICS) as member:
        member.call("create", "/physics/results", "1")
        member.call("mkdir", "/physics/run", 0o775)
        assert member.call("stat", "/physics/results") == [ADA, PHYSICS, "0o600"]
        assert member.call("stat", "/physics/run") == [ADA, PHYSICS, "0o2775"]
    with exports.mount("/tank/groups", BOB) as other:
        assert refused(other, "ls", "/physics") == "EACCES"


def test_whoever_asks_for_a_home_is_the_requester(exports: Exports) -> None:
    with exports.mount("/tank/home-requests", ADA) as hub:
        hub.call("create", "/requests/one", "{}")
        assert hub.call("stat", "/requests/one") == [60_900, 60_900, "0o600"]
        assert refused(hub, "create", "/elsewhere", "") == "EACCES"


def test_only_nodes_and_only_root_s_ports_are_served(exports: Exports) -> None:
    stranger = exports.mount(HOME, ADA, host=exports.store)
    unprivileged = replace(exports.mount(HOME, ADA), port_below_1024=False)
    for client in (stranger, unprivileged):
        with pytest.raises(NfsError) as caught, client as mounted:
            mounted.call("ls", "/")
        assert caught.value.name in {"EPERM", "EACCES", "ENOENT"}, caught.value


def test_the_server_speaks_version_4_and_nothing_else_listens(exports: Exports) -> None:
    address = exports.store.address
    assert nfs_probe.versions(address) == (4, 4)
    assert nfs_probe.speaks_minor(address, 1)
    assert nfs_probe.speaks_minor(address, 2)
    assert not nfs_probe.speaks_minor(address, 3)
    ports = exports.store.console("ss -Hltun | awk '{print $5}' | sed 's/.*://' | sort -un").split()
    assert ports == ["22", "2049"]


def test_as_planned_it_speaks_4_1_and_4_2_alone(exports: Exports) -> None:
    step = exports.step(exports.node.name)
    settings = str(step.values["SETTINGS"])
    planned = replace(step, values={**step.values, "SETTINGS": settings.replace("= 0, 1, 2;", "= 1, 2;")})
    assert exports.hosts.run(planned).changed == ("file /etc/ganesha/ganesha.conf", "service nfs-ganesha.service")
    minors = {minor for minor in range(4) if nfs_probe.speaks_minor(exports.store.address, minor)}
    exports.hosts.run(step)
    assert minors == {1, 2}


def test_again_changes_nothing_and_looking_finds_nothing(exports: Exports) -> None:
    step = exports.step(exports.node.name)
    assert exports.hosts.run(step).changed == ()
    assert exports.hosts.run(step, "check").changed == ()


def test_a_node_that_comes_or_goes_cuts_nobody_off(exports: Exports) -> None:
    alone, both = exports.step(exports.node.name), exports.step(exports.node.name, exports.store.name)
    differing = {name for name, value in both.values.items() if alone.values[name] != value}
    assert differing == {"EXPORTS", "EXPORTED"}
    with exports.mount(HOME, ADA) as home:
        home.call("create", "/log", "")
        home.call("append", "/log", "before ")
        served_by = exports.store.console("systemctl show -P MainPID nfs-ganesha.service")
        changed = exports.hosts.run(both).changed
        assert changed == ("file /etc/ganesha/research-compute-exports.conf", "service nfs-ganesha.service")
        home.call("append", "/log", "with both ")
        with mounted_soon(exports.mount(HOME, ADA, host=exports.store)) as newcomer:
            assert newcomer.call("read", "/log") == "before with both "
            exports.hosts.run(alone)
            home.call("append", "/log", "after")
            assert eventually(lambda: refused_by_now(newcomer, "read", "/log")) in {"EPERM", "EACCES", "EIO"}
        assert home.call("read", "/log") == "before with both after"
        assert exports.store.console("systemctl show -P MainPID nfs-ganesha.service") == served_by


def test_a_hard_mount_waits_for_a_server_that_dies_and_returns(exports: Exports) -> None:
    with exports.mount(HOME, ADA) as home:
        home.call("create", "/kept", "safe")
        home.call("append", "/kept", " and open")
        exports.store.partition()
        exports.store.console("systemctl kill --signal=KILL nfs-ganesha.service")
        began = time.monotonic()
        home.begin("stat", "/kept")
        time.sleep(3)
        exports.store.console(f"systemctl restart nfs-ganesha.service; {UNTIL_IT_LISTENS}")
        exports.store.heal()
        assert home.end() == [ADA, USERS, "0o600"]
        assert time.monotonic() - began >= 3
        # The file that was open is the kernel's client's to reclaim; this one does not, and is told so.
        assert refused(home, "append", "/kept", " lost") in {"EIO", "ESTALE", "ERANGE"}
    with exports.mount(HOME, ADA) as home:
        assert home.call("read", "/kept") == "safe and open"


def test_a_hard_mount_waits_for_a_server_that_is_silent(exports: Exports) -> None:
    with exports.mount(HOME, ADA) as home:
        home.call("create", "/log-2", "")
        home.call("append", "/log-2", "before ")
        exports.store.partition()
        began = time.monotonic()
        home.begin("append", "/log-2", "meanwhile")
        time.sleep(3)
        exports.store.heal()
        home.end()
        assert time.monotonic() - began >= 3
        assert home.call("read", "/log-2") == "before meanwhile"


def test_a_soft_mount_gives_up(exports: Exports) -> None:
    with replace(exports.mount("/tank/datasets", ADA), reconnects=0, timeout_seconds=2) as reader:
        exports.store.partition()
        try:
            assert refused(reader, "read", "/file") in {"ETIMEDOUT", "EIO", "EINTR"}
        finally:
            exports.store.heal()


def test_the_kernel_s_words_are_understood(exports: Exports) -> None:
    """This machine's kernel serves no NFS; the programs that read its server's files say what they take them for."""
    assert exports.storage.nfs is not None
    nfs = exports.storage.nfs.model_copy(update={"server": NfsServer.KERNEL})
    steps = export_steps(nfs, dataset_plans(nfs), exports.nodes(exports.node.name, exports.store.name))
    values = next(step for step in steps if step.name == "exports").values
    node = exports.node
    node.console("systemctl mask --quiet rpcbind.socket rpcbind.service rpc-statd.service")
    install(exports.hosts, node, "nfs-kernel-server")
    node.console("install -d " + " ".join(plan.path for plan in dataset_plans(nfs)))
    node.run("cat >/etc/nfs.conf.d/research-compute.conf", sudo=True, text=str(values["SETTINGS"]))
    node.run(
        "install -d /etc/exports.d; cat >/etc/exports.d/research-compute.exports",
        sudo=True,
        text=str(values["EXPORTS"]),
    )
    assert node.console("exportfs -ra 2>&1") == ""
    taken: dict[tuple[str, str], list[str]] = {}
    for line in node.console("cat /var/lib/nfs/etab").splitlines():
        path, _, rest = line.partition("\t")
        client, _, options = rest.removesuffix(")").partition("(")
        taken[path, client] = options.split(",")
    writable = {path for (path, client), options in taken.items() if "rw" in options and client == node.address}
    assert writable == {"/tank/homes", "/tank/home-requests", "/tank/scratch", "/tank/groups"}
    outside = {OUTSIDE, "198.51.100.0/28"}
    assert {path for path, client in taken if client in outside} == {"/tank/datasets"}
    assert {client for _, client in taken} == {node.address, exports.store.address, SECOND, *outside}
    assert all("rw" not in options for (_, client), options in taken.items() if client in outside)
    for (path, _), options in taken.items():
        assert {"root_squash", "secure", "sync", "no_subtree_check", "mountpoint", "sec=sys"} <= set(options)
        # What is in force for a way of signing in comes after it, and must be the same as what was meant.
        assert ("rw" in options[options.index("sec=sys") :]) == (path in writable)
        assert ("all_squash" in options) == (path == "/tank/home-requests")
    settings = node.console("nfsconf --dump")
    assert {" vers3 = n", " vers4.0 = n", " vers4.2 = y", " manage-gids = n"} <= set(settings.splitlines())
    assert node.console("nfsconf --get nfsd threads").strip() == "16"


def test_undone_nothing_is_exported_and_all_is_kept(exports: Exports) -> None:
    step = exports.step(exports.node.name)
    assert "no service nfs-ganesha.service" in exports.hosts.run(step, "undo").changed
    assert exports.hosts.run(step, "undo").changed == ()
    assert exports.store.console("ss -Hltn 'sport = 2049'") == ""
    assert exports.store.console(f"cat {HOME}/notes") == "what I did"
    exports.hosts.run(step)
    with exports.mount(HOME, ADA) as home:
        assert home.call("read", "/notes") == "what I did"
