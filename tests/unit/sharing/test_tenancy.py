"""What the files of a stack and of its owner must say alike; each row is one thing that they do not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from shared_stacks import CLUSTER, Data, cluster_of, owner_file, project, section, tenant_file

from components.gpu.models import GpuModelName
from components.hub.homes.requests import database_home
from components.problems import render_path
from labctl.graph.record import record
from labctl.lab import open_lab
from labctl.tenants import owner_of, tenants_of
from stacks.config import ClusterConfig
from stacks.environments import EnvironmentName
from stacks.errors import StackFileError
from stacks.host_steps import host_steps
from stacks.loading import load_cluster, load_stack_file
from stacks.pins import load_pins
from stacks.sharing import owned_twice, shared_clusters, sharing_problems
from stacks.tenancy import check_beside, check_neighbours

EXAMPLES = ("dev", "prod", "dev-open", "prod-open")
Change = Callable[[Data], object]


def said(path: str, value: object) -> Change:
    """Return a change that writes a value at a path of the cluster section."""
    *way, last = path.split(".")
    return lambda data: section(data, "config", CLUSTER, *way).__setitem__(last, value)


def without(path: str) -> Change:
    *way, last = path.split(".")
    return lambda data: section(data, "config", CLUSTER, *way).pop(last)


def beside(tmp_path: Path, *, tenant: Change | None = None, owner: Change | None = None) -> list[str]:
    """Return what does not fit between prod-open and prod once their files were changed."""
    files: dict[str, Data] = {"prod": owner_file("prod"), "prod-open": tenant_file("prod")}
    for data, change in ((files["prod"], owner), (files["prod-open"], tenant)):
        if change is not None:
            change(data)
    root = project(tmp_path, copy.deepcopy(files))
    loaded = {stack: load_cluster(load_stack_file(root / f"Pulumi.{stack}.yaml")) for stack in files}
    return [str(problem) for problem in check_beside("prod-open", loaded["prod-open"], loaded["prod"])]


def test_the_examples_fit() -> None:
    stacks = {stack: cluster_of(stack) for stack in EXAMPLES}
    assert sharing_problems(stacks) == ()
    assert shared_clusters(stacks) == {"sensorlab": ("prod", "prod-open"), "sensorlab-dev": ("dev", "dev-open")}


def host(name: str, address: str, labels: Mapping[str, str] | None = None) -> Change:
    """Return a change that names one of the cluster's machines, with labels of the tenant's own."""
    hardware = {"cpus": 128, "memory": "1Ti", "ephemeralStorage": "2T"}
    told = {"address": address, "roles": ["worker"], "labels": dict(labels or {}), "hardware": hardware}
    return said("nodes.hosts", {name: told})


TENANT: Mapping[str, tuple[Change, str]] = {
    "name": (
        said("name", "openlab"),
        "name: the cluster is called openlab here, and prod calls it sensorlab; write sensorlab",
    ),
    "simulated": (said("nodes.adopt.simulated", value=True), "nodes.adopt.simulated: the nodes of prod are machines; "),
    "pods": (
        said("network.pods", "10.240.0.0/16"),
        "network.pods: the cluster has 10.244.0.0/16, says prod, and here stands ",
    ),
    "domain": (
        said("network.clusterDomain", "lab.internal"),
        "network.clusterDomain: the cluster has cluster.local, says prod",
    ),
    "management": (
        without("network.management"),
        "network.management: 198.18.0.0/24 is a management network of prod's, ",
    ),
    "gateway": (
        said("network.use.gateway.namespace", "gateway-test"),
        "network.use.gateway: prod's gateway is {name: lab, ",
    ),
    "issuer": (said("network.use.issuer", "lab-test"), "network.use.issuer: prod has the ClusterIssuer lab-prod; "),
    "no-listener": (
        said("network.use.gateway.listeners", {"hub": "https-closed"}),
        "network.hostnames.hub: prod's gateway has no listener https-closed; write use.gateway.listeners: ",
    ),
    "the-owners-listener": (
        said("network.use.gateway.listeners", {}),
        "network.hostnames.hub: listener https-hub of prod's gateway serves hub.lab.example.org; ",
    ),
    "the-owners-name": (
        said("network.hostnames.hub", "hub.lab.example.org"),
        "network.hostnames.hub: hub.lab.example.org is the name of prod's own hub; write another host name",
    ),
    "home-class": (
        said("storage.use.homeClass", "homes-test"),
        "storage.use.homeClass: prod has no class homes-test; ",
    ),
    "scratch-class": (
        said("storage.use.scratchClass", "scratch"),
        "storage.use.scratchClass: prod has no class scratch; ",
    ),
    "requests": (
        without("storage.use.homeRequestsFolder"),
        "storage.use: homes of homes-prod are made on store-1, where ",
    ),
    "requests-elsewhere": (
        said("storage.use.homeRequestsFolder.path", "/tank/requests"),
        "storage.use.homeRequestsFolder: homes are asked for at 192.0.2.21:/tank/home-requests, says prod; ",
    ),
    "slice": (
        said("gpu.use.slices", [{"slice": "1g.10gb", "count": 15, "model": "A100-80GB-PCIe"}]),
        "gpu.use.slices[0].count: no node of prod offers more than 14 of 1g.10gb; write 14, or fewer",
    ),
    "strategy": (
        said("gpu.use.slices", [{"slice": "1g.10gb", "count": 7, "model": "A100-80GB-PCIe", "strategy": "single"}]),
        "gpu.use.slices[0].strategy: prod cuts 1g.10gb by strategy mixed; write mixed",
    ),
    "scheduler": (
        said("scheduling.use.batch", "volcano"),
        "scheduling.use.batch: prod has no scheduler volcano; write one of default-scheduler, packing",
    ),
    "lxcfs": (
        said("hub.lxcfs", value=True),
        "hub.lxcfs: prod brings no LXCFS to its workers, so no server would start; ",
    ),
    "host": (
        host("worker-9", "192.0.2.99"),
        "nodes.hosts.worker-9: prod has no node worker-9; ",
    ),
    "label": (
        host("gpu-1", "192.0.2.41", {"lab.example.org/chassis": "ours"}),
        'nodes.hosts.gpu-1.labels["lab.example.org/chassis"]: a node has one value of a label, and prod says ',
    ),
}
OWNER: Mapping[str, tuple[Change, str]] = {
    "not-published": (
        without("network.hostnames.open"),
        "network.hostnames.hub: prod's gateway has no listener https-open; have prod publish open.lab.example.org",
    ),
    "published-elsewhere": (
        said("network.hostnames.open", "data.lab.example.org"),
        "network.hostnames.hub: listener https-open of prod's gateway serves data.lab.example.org; have prod publish ",
    ),
    "database": (
        said("storage.nfs.homes.hubs", []),
        "hub.database: the hub's database lies among prod's homes, and nobody makes its folder there; add prod-open",
    ),
    "api-server": (
        said("nodes.endpoint.port", 7443),
        "nodes.endpoint.port: the cluster has 7443, says prod, and here stands 6443; write 7443",
    ),
}


@pytest.mark.parametrize(("change", "expected"), TENANT.values(), ids=TENANT.keys())
def test_what_a_tenant_says_of_the_cluster_is_so(tmp_path: Path, change: Change, expected: str) -> None:
    (problem,) = beside(tmp_path, tenant=change)
    assert problem.startswith(expected)


@pytest.mark.parametrize(("change", "expected"), OWNER.values(), ids=OWNER.keys())
def test_what_a_tenant_lives_on_is_granted(tmp_path: Path, change: Change, expected: str) -> None:
    (problem,) = beside(tmp_path, owner=change)
    assert problem.startswith(expected)


def test_a_tenant_has_no_tenants() -> None:
    tenant = cluster_of("prod-open")
    (problem,) = check_beside("prod-next", _owned_by(tenant, "prod-open"), tenant)
    assert str(problem).startswith(
        "nodes.adopt.owner: prod-open lives on prod's cluster; name the stack that owns it, prod"
    )


def test_a_wildcard_of_the_owner_serves_a_tenant(tmp_path: Path) -> None:
    def wildcard(data: Data) -> None:
        said("network.hostnames", {"hub": "hub.lab.example.org", "apps": "*.lab.example.org"})(data)
        said("network.certificates", {"kind": "self-signed"})(data)

    listeners = said("network.use.gateway.listeners", {"hub": "https-apps"})
    assert beside(tmp_path, tenant=listeners, owner=wildcard) == []


def _owned_by(config: ClusterConfig, owner: str) -> ClusterConfig:
    adopt = config.nodes.adopt
    assert adopt is not None
    nodes = config.nodes.model_copy(update={"adopt": adopt.model_copy(update={"owner": owner})})
    return config.model_copy(update={"nodes": nodes})


def test_a_stack_that_is_not_there_is_nobodys_owner() -> None:
    tenant = cluster_of("prod-open")
    ((stack, problem),) = sharing_problems({"prod-open": tenant, "test-lund": cluster_of("dev")})
    assert (stack, render_path(problem.path)) == ("prod-open", "nodes.adopt.owner")
    assert "there is no stack prod here; write one of test-lund" in str(problem)


def test_two_stacks_that_own_one_cluster_are_told() -> None:
    ((stack, problem),) = sharing_problems({"prod": cluster_of("prod"), "prod-two": cluster_of("prod")})
    assert stack == "prod-two"
    assert str(problem) == (
        "name: sensorlab is the cluster of prod, too, and both own it; give it another name, or write "
        "nodes.adopt.owner: prod"
    )


def test_tenants_do_not_take_one_anothers_name() -> None:
    tenant = cluster_of("prod-open")
    ((stack, problem),) = check_neighbours({"prod-open": tenant, "prod-ci": tenant})
    assert stack == "prod-open"
    assert "open.lab.example.org is the name of a service of prod-ci" in str(problem)


def test_a_stack_is_opened_only_if_it_fits_its_owner(tmp_path: Path) -> None:
    files = {"prod": owner_file("prod", granting=False), "prod-open": tenant_file("prod")}
    root = project(tmp_path, files)
    with pytest.raises(StackFileError) as caught:
        open_lab("prod-open", root)
    assert str(caught.value).startswith("Pulumi.prod-open.yaml: 2 problems, nothing was touched\n")
    assert all(problem.line for problem in caught.value.problems)
    (root / "Pulumi.prod.yaml").unlink()
    with pytest.raises(StackFileError, match=r"there is no Pulumi.prod.yaml beside this file"):
        open_lab("prod-open", root)
    own = tenant_file("prod")
    said("nodes.adopt.owner", "prod-open")(own)
    project(root, {"prod-open": own})
    with pytest.raises(StackFileError, match="a stack is its own tenant; leave owner out"):
        open_lab("prod-open", root)


def test_whose_the_cluster_is_and_who_is_on_it(tmp_path: Path) -> None:
    files = {
        f"{owner}{suffix}": data
        for owner in ("dev", "prod")
        for suffix, data in (("", owner_file(owner)), ("-open", tenant_file(owner)))
    }
    root = project(tmp_path, files)
    prod, tenant = open_lab("prod", root), open_lab("prod-open", root)
    assert (owner_of(tenant).stack, owner_of(prod).stack) == ("prod", "prod")
    assert (tenants_of(prod), tenants_of(tenant)) == (("prod-open",), ())
    (root / "Pulumi.prod-broken.yaml").write_text("config: [", encoding="utf-8")
    assert tenants_of(prod) == ("prod-open",)


def test_the_storage_host_makes_the_folder_of_the_tenants_database() -> None:
    pins = load_pins(EnvironmentName.PROD)
    (step,) = [step for step in host_steps(cluster_of("prod"), pins, "prod") if step.name == "homes"]
    assert step.values["KNOWN_HOMES"] == tuple(str(database_home(f"hub-{stack}")) for stack in ("prod-open", "prod"))


def test_the_model_of_a_used_slice_may_be_left_out(tmp_path: Path) -> None:
    assert GpuModelName.A100_80_PCIE == "A100-80GB-PCIe"
    assert beside(tmp_path, tenant=said("gpu.use.slices", [{"slice": "1g.10gb", "count": 7}])) == []
    (problem,) = beside(
        tmp_path, tenant=said("gpu.use.slices", [{"slice": "1g.10gb", "count": 7}, {"slice": "7g.80gb", "count": 1}])
    )
    assert problem.startswith(
        "gpu.use.slices[1].slice: prod offers no 7g.80gb; write one of 1g.10gb of A100-80GB-PCIe, "
    )


def test_a_tenant_labels_nodes_with_its_own_labels_alone(tmp_path: Path) -> None:
    files = {"dev": owner_file("dev"), "dev-open": tenant_file("dev")}
    said("nodes.hosts", {**_named("worker-1", {"lab.example.org/open": "yes"}), **_named("worker-2", {})})(
        files["dev-open"]
    )
    root = project(tmp_path, files)
    one, other = (record(open_lab(stack, root).program()).goals for stack in ("dev", "dev-open"))
    patches = [goal for goal in other if goal.type.endswith(":NodePatch")]
    assert [goal.inputs["metadata"] for goal in patches] == [
        {"name": "worker-1", "labels": {"lab.example.org/open": "yes"}}
    ]
    assert owned_twice(one, other) == ()


def _named(name: str, labels: Mapping[str, str]) -> Data:
    hardware = {"cpus": 64, "memory": "512Gi", "ephemeralStorage": "1920G"}
    address = {"worker-1": "10.20.0.31", "worker-2": "10.20.0.32"}[name]
    return {name: {"address": address, "roles": ["worker"], "labels": dict(labels), "hardware": hardware}}
