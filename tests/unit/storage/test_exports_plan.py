"""Exports: to whom, as whom, and in the words of both servers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.networks import Networks
from components.nodes.config import NodesConfig
from components.storage.config import StorageConfig
from components.storage.datasets_plan import dataset_plans
from components.storage.export_files import (
    EXPORT_OPTIONS,
    ganesha_exports,
    ganesha_settings,
    kernel_exports,
    kernel_settings,
)
from components.storage.exports_checks import check
from components.storage.exports_plan import (
    Export,
    Squash,
    export_plans,
    export_steps,
    server_threads,
)

if TYPE_CHECKING:
    from components.model import Value
    from components.nodes.steps import Step
    from components.storage.config import NfsStorage

HARDWARE: Value = {"cpus": 16, "memory": "64Gi", "ephemeralStorage": "100G"}
HOSTS: dict[str, dict[str, Value]] = {
    "store-1": {"address": "192.0.2.20", "roles": ["storage"]},
    "cp-1": {"address": "192.0.2.11", "roles": ["control-plane"]},
    "worker-1": {"address": "192.0.2.31", "roles": ["worker"], "secondAddress": "2001:db8::31"},
    "worker-2": {"address": "192.0.2.32", "roles": ["worker"], "lost": True},
}
NFS: dict[str, Value] = {
    "host": "store-1",
    "homes": {"path": "/tank/homes"},
    "scratch": {"path": "/tank/scratch", "onDelete": "delete"},
    "shared": [
        {"name": "datasets", "path": "/tank/datasets", "mountPath": "/srv/datasets", "size": "10Ti"},
        {"name": "cache", "path": "/tank/cache", "mountPath": "/srv/cache", "size": "1Ti", "writers": "everyone"},
        {"name": "genomes", "path": "/tank/genomes", "mountPath": "/srv/genomes", "size": "1Ti", "readers": ["bio"]},
        {
            "name": "old",
            "source": {"server": "192.0.2.99", "path": "/export/old"},
            "mountPath": "/srv/old",
            "size": "1Ti",
        },
    ],
    "groups": {"bio": {"gid": 5001}},
    "groupFolders": {"path": "/tank/groups", "mountPath": "/srv/groups"},
}
NODES = ("192.0.2.11", "192.0.2.31", "2001:db8::31")
"""Addresses of `HOSTS` that are nodes' and not lost."""


def nodes(hosts: dict[str, dict[str, Value]] = HOSTS) -> NodesConfig:
    return NodesConfig.model_validate({"hosts": {name: {"hardware": HARDWARE, **host} for name, host in hosts.items()}})


def nfs(**changes: Value) -> NfsStorage:
    section = StorageConfig.model_validate({"nfs": {**NFS, **changes}})
    assert section.nfs is not None
    return section.nfs


def plans(section: NfsStorage, hosts: NodesConfig | None = None) -> dict[str, Export]:
    found = export_plans(section, dataset_plans(section), hosts or nodes())
    return {export.path: export for export in found}


def step(section: NfsStorage, hosts: NodesConfig | None = None, name: str = "exports") -> Step:
    return next(one for one in export_steps(section, dataset_plans(section), hosts or nodes()) if one.name == name)


@pytest.mark.parametrize(
    ("path", "squashed", "features"),
    [
        ("/tank/homes", (Squash.ROOT, 65_534, 65_534), {"children", "writes"}),
        ("/tank/home-requests", (Squash.ALL, 60_900, 60_900), {"writes"}),
        ("/tank/scratch", (Squash.ROOT, 65_534, 100), {"writes"}),
        ("/tank/datasets", (Squash.ROOT, 65_534, 65_534), {"children"}),
        ("/tank/cache", (Squash.ROOT, 65_534, 65_534), {"children", "writes"}),
        ("/tank/genomes", (Squash.ROOT, 65_534, 65_534), {"children"}),
        ("/tank/groups", (Squash.ROOT, 65_534, 65_534), {"children", "writes"}),
    ],
)
def test_as_whom_and_what_they_may(path: str, squashed: tuple[Squash, int, int], features: set[str]) -> None:
    export = plans(nfs())[path]
    assert (export.squash, export.anonymous_uid, export.anonymous_gid) == squashed
    assert export.with_children == ("children" in features)
    assert [client.text for client in export.clients] == list(NODES)
    assert {client.writes for client in export.clients} == {"writes" in features}


def test_every_file_system_is_exported_once_and_others_servers_not_at_all() -> None:
    assert list(plans(nfs())) == [
        "/tank/cache",
        "/tank/datasets",
        "/tank/genomes",
        "/tank/groups",
        "/tank/home-requests",
        "/tank/homes",
        "/tank/scratch",
    ]


def test_machines_outside_read_what_everyone_may_and_nothing_else() -> None:
    exports = plans(nfs(clients=["198.51.100.0/28", "2001:db8:1::7/128"]))
    outside = {
        path: [(client.text, client.writes) for client in export.clients if client.text not in NODES]
        for path, export in exports.items()
    }
    seen = [("198.51.100.0/28", False), ("2001:db8:1::7", False)]
    assert {path: found for path, found in outside.items() if found} == {"/tank/cache": seen, "/tank/datasets": seen}


def test_identifiers_stay_when_other_datasets_come_and_go() -> None:
    all_of_them = plans(nfs())
    fewer = plans(nfs(shared=[], scratch=None))
    assert set(fewer) < set(all_of_them)
    for path, export in fewer.items():
        assert (export.fsid, export.export_id) == (all_of_them[path].fsid, all_of_them[path].export_id)
    assert len({export.fsid for export in all_of_them.values()}) == len(all_of_them)
    assert len({export.export_id for export in all_of_them.values()}) == len(all_of_them)


def test_the_kernel_s_exports() -> None:
    exports = plans(nfs())
    text = kernel_exports((exports["/tank/datasets"], exports["/tank/homes"]))
    common = "sync,no_subtree_check,secure,mountpoint,root_squash,anonuid=65534,anongid=65534,crossmnt"
    ids = {path: export.fsid for path, export in exports.items()}
    assert text.splitlines() == [
        f"/tank/datasets -{common},fsid={ids['/tank/datasets']} \\",
        "    192.0.2.11(ro) \\",
        "    192.0.2.31(ro) \\",
        "    2001:db8::31(ro)",
        f"/tank/homes -{common},fsid={ids['/tank/homes']} \\",
        "    192.0.2.11(rw) \\",
        "    192.0.2.31(rw) \\",
        "    2001:db8::31(rw)",
    ]


def test_ganesha_s_exports() -> None:
    exports = plans(nfs(clients=["198.51.100.0/28"]))
    text = ganesha_exports([exports["/tank/cache"], exports["/tank/home-requests"]])
    assert text == (
        "EXPORT {\n"
        "    # With what is mounted beneath.\n"
        f"    Export_Id = {exports['/tank/cache'].export_id};\n"
        "    Path = /tank/cache;\n"
        "    Pseudo = /tank/cache;\n"
        "    Squash = root_squash;\n"
        "    Anonymous_uid = 65534;\n"
        "    Anonymous_gid = 65534;\n"
        "    CLIENT {\n"
        "        Clients =\n"
        "            192.0.2.11,\n"
        "            192.0.2.31,\n"
        "            2001:db8::31;\n"
        "        Access_Type = RW;\n"
        "    }\n"
        "    CLIENT {\n"
        "        Clients =\n"
        "            198.51.100.0/28;\n"
        "        Access_Type = RO;\n"
        "    }\n"
        "    FSAL {\n"
        "        Name = VFS;\n"
        "    }\n"
        "}\n"
        "EXPORT {\n"
        f"    Export_Id = {exports['/tank/home-requests'].export_id};\n"
        "    Path = /tank/home-requests;\n"
        "    Pseudo = /tank/home-requests;\n"
        "    Squash = all_squash;\n"
        "    Anonymous_uid = 60900;\n"
        "    Anonymous_gid = 60900;\n"
        "    Attr_Expiration_Time = 0;\n"
        "    CLIENT {\n"
        "        Clients =\n"
        "            192.0.2.11,\n"
        "            192.0.2.31,\n"
        "            2001:db8::31;\n"
        "        Access_Type = RW;\n"
        "    }\n"
        "    FSAL {\n"
        "        Name = VFS;\n"
        "    }\n"
        "}\n"
    )


def test_both_servers_speak_nfs_4_with_sessions_alone() -> None:
    kernel = kernel_settings(64).splitlines()
    assert {"vers3=n", "vers4.0=n", "vers4.1=y", "vers4.2=y", "udp=n", "threads=64", "manage-gids=n"} <= set(kernel)
    lease = next(int(line.split("=")[1]) for line in kernel if line.startswith("lease-time"))
    grace = next(int(line.split("=")[1]) for line in kernel if line.startswith("grace-time"))
    assert grace >= lease
    ganesha = ganesha_settings(64)
    for line in ("Protocols = 4;", "Minor_Versions = 1, 2;", "Access_Type = None;", "PrivilegedPort = true;"):
        assert f" {line}\n" in ganesha
    assert f"Lease_Lifetime = {lease};" in ganesha
    assert f"Grace_Period = {grace};" in ganesha


@pytest.mark.parametrize(("cpus", "threads"), [(1, 16), (4, 16), (16, 64), (64, 256), (256, 256)])
def test_threads_follow_from_the_hardware(cpus: int, threads: int) -> None:
    assert server_threads(cpus) == threads


def test_every_option_has_its_reason() -> None:
    assert all(len(option.reason) > 15 for option in EXPORT_OPTIONS)


@pytest.mark.parametrize("server", ["kernel", "ganesha"])
def test_a_node_more_changes_what_is_exported_and_nothing_else(server: str) -> None:
    before = step(nfs(server=server))
    more = nodes({**HOSTS, "worker-3": {"address": "192.0.2.33", "roles": ["worker"]}})
    after = step(nfs(server=server), more)
    assert {name for name, value in after.values.items() if before.values[name] != value} == {"EXPORTS", "EXPORTED"}
    assert "192.0.2.33" in str(after.values["EXPORTS"])
    assert step(nfs(server=server), more, "scratch") == step(nfs(server=server), name="scratch")


def test_the_step_comes_after_the_datasets() -> None:
    planned = step(nfs(server="ganesha"))
    assert planned.after == (("datasets", "store-1"),)
    assert planned.files == ("ganesha-exports",)
    assert planned.values["EXPORTED"] == tuple(f"{path} 3" for path in plans(nfs()))
    assert step(nfs()).files == ()


@pytest.mark.parametrize(("on_delete", "is_emptied"), [("delete", True), ("archive", False), ("retain", False)])
def test_scratch_is_emptied_where_it_goes_with_its_claim(on_delete: str, is_emptied: bool) -> None:  # noqa: FBT001 - a table's column
    planned = step(nfs(scratch={"path": "/tank/scratch", "onDelete": on_delete}), name="scratch")
    assert planned.values == {"SCRATCH": "/tank/scratch", "IS_EMPTIED": is_emptied}


# --- whatever the lab is like

addresses = st.integers(min_value=1, max_value=250).map(lambda last: f"192.0.2.{last}")
networks = st.sampled_from(["198.51.100.0/24", "203.0.113.7/32", "2001:db8:2::/64", "198.51.100.128/25"])


@st.composite
def labs(draw: st.DrawFn) -> tuple[NodesConfig, NfsStorage]:
    """Return hosts and a server as they may be: some lost, some storage alone, some folders shared."""
    chosen = draw(st.lists(addresses, min_size=1, max_size=8, unique=True))
    hosts: dict[str, dict[str, Value]] = {
        f"host-{index}": {
            "address": address,
            "roles": draw(st.sampled_from([["worker"], ["storage"], ["control-plane"], ["storage", "worker"]])),
            "lost": index > 0 and draw(st.booleans()),
        }
        for index, address in enumerate(chosen)
    }
    hosts["host-0"]["roles"] = ["storage"]
    section = nfs(
        host="host-0",
        server=draw(st.sampled_from(["kernel", "ganesha"])),
        clients=draw(st.lists(networks, max_size=3, unique=True)),
        scratch=draw(st.sampled_from([None, {"path": "/tank/scratch"}])),
    )
    return nodes(hosts), section


@given(lab=labs())
def test_nobody_else_is_ever_let_in(lab: tuple[NodesConfig, NfsStorage]) -> None:
    hosts, section = lab
    members = {
        str(host.address)
        for host in hosts.hosts.values()
        if not host.lost and {r.value for r in host.roles} != {"storage"}
    }
    planned = step(section, hosts)
    text = str(planned.values["EXPORTS"])
    assert "no_root_squash" not in text
    assert "*" not in text
    named = set(re.findall(r"(?<![\w.:/-])(?:\d+\.\d+\.\d+\.\d+|2001:[0-9a-f:]+)(?:/\d+)?", text))
    declared = {str(client).removesuffix("/32") for client in section.clients}
    assert named <= members | declared
    if members:
        assert members <= named
    for export in plans(section, hosts).values():
        for client in export.clients:
            is_member = client.text in members
            assert is_member or not client.writes
            assert is_member or client.network in section.clients


# --- checks

ADDRESS_PLAN = {"hosts": Networks.of("192.0.2.0/24"), "pods": Networks.of("10.244.0.0/16")}


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        ("0.0.0.0/0", "0.0.0.0/0 is the whole world"),
        ("::/0", "::/0 is the whole world"),
        ("192.0.0.0/16", "192.0.0.0/16 is larger than the hosts' network 192.0.2.0/24"),
        ("2001:db8::/32", "2001:db8::/32 is larger than a site's (/48)"),
        ("10.244.3.0/24", "10.244.3.0/24 holds addresses of pods"),
        ("198.51.100.0/28", None),
        ("192.0.2.0/24", None),
        ("2001:db8:7::/64", None),
    ],
)
def test_clients_are_known_machines(client: str, problem: str | None) -> None:
    found = [str(entry) for entry in check(nfs(clients=[client]), **ADDRESS_PLAN)]
    assert [entry.split(";")[0].split(":", 1)[1].strip().startswith(problem or "-") for entry in found] == (
        [True] if problem else []
    )


def test_without_an_address_plan_a_site_is_the_most() -> None:
    found = [str(entry) for entry in check(nfs(clients=["10.0.0.0/8", "10.1.0.0/16"]))]
    assert len(found) == 1
    assert found[0].startswith("nfs.clients[0]: 10.0.0.0/8 is larger than a site's (/16)")
