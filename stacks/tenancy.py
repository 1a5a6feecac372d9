"""A stack that lives on another stack's cluster: what its file must not build, and what must be true of the two files.

Pure. `check_tenancy` looks at one file; `check_beside` holds a tenant's against its owner's, `check_neighbours` tenants
against one another. Paths are those of the tenant's file: it is the one that names what the other has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.gpu.slices import offered_slices
from components.namespaces.plan import scoped
from components.network.facts import API_SERVER_PORT, network_facts
from components.nodes.plan import members, node_labels
from components.problems import Problem
from components.scheduling.plan import PACKING, SPREADING, scheduler_names
from components.storage.datasets_plan import requests_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from components.network.facts import NetworkFacts
    from components.problems import Path
    from components.storage.config import NfsStorage, StorageUse

    from .config import ClusterConfig

__all__ = ["check_beside", "check_neighbours", "check_tenancy"]

OWN_HUB = "hub"
"""The hub among a stack's published services (``network.hostnames``)."""


def check_tenancy(config: ClusterConfig) -> Iterator[Problem]:
    """Yield what a stack builds of a cluster that it says is another stack's; nothing where it is its own.

    Parameters
    ----------
    config
        The cluster; sections that are broken are absent from it, or stand-ins.
    """
    owner = config.nodes.owner
    if owner is None:
        return
    network, storage, gpu = config.network, config.storage, config.gpu
    gateway = f"name its gateway in network.use instead: {{name: lab, namespace: {scoped('gateway', owner)}, ...}}"
    built: dict[Path, tuple[object, str, str]] = {}
    if network is not None and network.use is None:
        built |= {
            ("network", "cni"): (network.cni, "the pod network", "leave it out"),
            ("network", "loadBalancer"): (network.load_balancer, "the load balancer", "leave it out"),
            ("network", "gateway"): (network.gateway, "the gateway", gateway),
            ("network", "certificates"): (network.certificates, "the cert-manager", gateway),
        }
    if storage is not None:
        built[("storage", "nfs")] = (
            storage.nfs,
            "the driver of NFS volumes",
            "name its classes in storage.use instead",
        )
    if gpu is not None:
        groups = gpu.groups or None
        built[("gpu", "groups")] = (groups, "the operator that cuts GPUs", "name its slices in gpu.use instead")
    for path, (section, what, remedy) in built.items():
        if section is not None:
            yield Problem(path=path, what=f"{what} is {owner}'s, whose cluster this is", remedy=remedy)


def check_beside(stack: str, tenant: ClusterConfig, owner: ClusterConfig) -> Iterator[Problem]:
    """Yield where a tenant's file says other things of the shared cluster than its owner's does.

    Parameters
    ----------
    stack
        Name of the tenant.
    tenant
        Its cluster, checked; ``nodes.adopt.owner`` names the owner.
    owner
        The owner's cluster, checked.
    """
    owning = tenant.nodes.owner or ""
    path: Path = ("nodes", "adopt", "owner")
    if owning == stack:
        yield Problem(path=path, what="a stack is its own tenant", remedy="leave owner out")
        return
    if (further := owner.nodes.owner) is not None:
        what = f"{owning} lives on {further}'s cluster"
        yield Problem(path=path, what=what, remedy=f"name the stack that owns it, {further}")
        return
    if tenant.name != owner.name:
        yield Problem(
            path=("name",),
            what=f"the cluster is called {tenant.name} here, and {owning} calls it {owner.name}",
            remedy=f"write {owner.name}",
        )
    if tenant.nodes.simulated != owner.nodes.simulated:
        yield Problem(
            path=("nodes", "adopt", "simulated"),
            what=f"the nodes of {owning} are {'simulated' if owner.nodes.simulated else 'machines'}",
            remedy=f"write simulated: {str(owner.nodes.simulated).lower()}",
        )
    yield from _hosts(tenant, owner, owning)
    yield from _addresses(stack, tenant, owner, owning)
    yield from _published(tenant, owner, owning)
    yield from _storage(stack, tenant, owner, owning)
    yield from _slices(tenant, owner, owning)
    yield from _schedulers(tenant, owner, owning)
    if tenant.hub is not None and tenant.hub.lxcfs and not (owner.hub is not None and owner.hub.lxcfs):
        yield Problem(
            path=("hub", "lxcfs"),
            what=f"{owning} brings no LXCFS to its workers, so no server would start",
            remedy=f"set hub.lxcfs in the file of {owning}, too, or leave it out",
        )


def check_neighbours(tenants: Mapping[str, ClusterConfig]) -> Iterator[tuple[str, Problem]]:
    """Yield what two tenants of one cluster both take, under the stack that comes later.

    Parameters
    ----------
    tenants
        The tenants' clusters by stack, of one owner.
    """
    hosts: dict[str, str] = {}
    labels: dict[tuple[str, str], tuple[str, str]] = {}
    for stack, config in sorted(tenants.items()):
        for service, name in config.network.hostnames.items() if config.network is not None else ():
            first = hosts.setdefault(name, stack)
            if first != stack:
                problem = Problem(
                    path=("network", "hostnames", service),
                    what=f"{name} is the name of a service of {first}",
                    remedy="give every service a host name of its own",
                )
                yield stack, problem
        for node, host in members(config.nodes).items():
            for key, value in host.labels.items():
                first, said = labels.setdefault((node, key), (stack, value))
                if said != value:
                    yield stack, _label(node, key, f"{first} says {said}")


def _hosts(tenant: ClusterConfig, owner: ClusterConfig, owning: str) -> Iterator[Problem]:
    nodes = members(owner.nodes)
    for name, host in members(tenant.nodes).items():
        if name not in nodes:
            yield Problem(
                path=("nodes", "hosts", name),
                what=f"{owning} has no node {name}",
                remedy=f"write one of {', '.join(nodes) or 'its nodes (there are none)'}, or leave it out",
            )
            continue
        theirs = node_labels(nodes[name])
        for key, value in host.labels.items():
            if theirs.get(key, value) != value:
                yield _label(name, key, f"{owning} says {theirs[key]}")


def _label(node: str, key: str, other: str) -> Problem:
    return Problem(
        path=("nodes", "hosts", node, "labels", key),
        what=f"a node has one value of a label, and {other}",
        remedy="write the same value, or a label of this stack's own",
    )


def _facts(config: ClusterConfig, stack: str) -> NetworkFacts | None:
    if config.network is None:
        return None
    endpoint = config.nodes.endpoint
    return network_facts(config.network, stack, API_SERVER_PORT if endpoint is None else endpoint.port)


def _addresses(stack: str, tenant: ClusterConfig, owner: ClusterConfig, owning: str) -> Iterator[Problem]:
    """Yield differences in the address plan: every network policy of the tenant is made of it."""
    one, other = _facts(tenant, stack), _facts(owner, owning)
    if one is None or other is None:
        return
    compared: dict[Path, tuple[object, object]] = {
        ("network", "pods"): (one.pods, other.pods),
        ("network", "services"): (one.services, other.services),
        ("network", "hosts"): (one.hosts, other.hosts),
        ("network", "clusterDomain"): (one.cluster_domain, other.cluster_domain),
        ("nodes", "endpoint", "port"): (one.api_server_port, other.api_server_port),
    }
    for path, (said, theirs) in compared.items():
        if said != theirs:
            what = f"the cluster has {theirs}, says {owning}, and here stands {said}"
            yield Problem(path=path, what=what, remedy=f"write {theirs}")
    for network in other.management:
        if network not in one.management:
            yield Problem(
                path=("network", "management"),
                what=f"{network} is a management network of {owning}'s, which no pod may reach, and is not named here",
                remedy=f"add {network}",
            )


def _published(tenant: ClusterConfig, owner: ClusterConfig, owning: str) -> Iterator[Problem]:
    facts = _facts(owner, owning)
    if tenant.network is None or (used := tenant.network.use) is None or facts is None:
        return
    gateway, path = facts.gateway, ("network", "use", "gateway")
    own = (used.gateway.name, used.gateway.namespace, used.gateway.class_name)
    if gateway is None or own != (gateway.name, gateway.namespace, gateway.class_name):
        what, remedy = f"{owning} has no gateway", "add network.gateway to its file"
        if gateway is not None:
            right = f"{{name: {gateway.name}, namespace: {gateway.namespace}, className: {gateway.class_name}}}"
            what, remedy = f"{owning}'s gateway is {right}", "write that"
        yield Problem(path=path, what=what, remedy=remedy)
        return
    if used.issuer is not None and used.issuer != facts.issuer:
        yield Problem(
            path=("network", "use", "issuer"),
            what=f"{owning} has {'no ClusterIssuer' if facts.issuer is None else f'the ClusterIssuer {facts.issuer}'}",
            remedy="write its name, or leave it out",
        )
    theirs = {gateway.listener(service): (service, name) for service, name in facts.hostnames.items()}
    listeners = used.gateway.listeners
    for service, name in tenant.network.hostnames.items():
        yield from _listener(service, name, listeners.get(service, gateway.listener(service)), theirs, owning)


def _listener(
    service: str, name: str, listener: str, theirs: Mapping[str, tuple[str, str]], owning: str
) -> Iterator[Problem]:
    """Yield what keeps a listener of the owner's from serving a tenant's host name."""
    services = {its_name: its for its, its_name in theirs.values()}
    granted, path = services.get(name), ("network", "hostnames", service)
    if granted == OWN_HUB:
        yield Problem(path=path, what=f"{name} is the name of {owning}'s own hub", remedy="write another host name")
        return
    serving, served = theirs.get(listener, (None, ""))
    is_covered = served == name or (served.startswith("*.") and name.partition(".")[2] == served[2:])
    # Of two listeners the one with the whole name takes its requests, and routes of the other see none.
    if is_covered and granted in {None, serving}:
        return
    exact = next((key for key, (its, _) in theirs.items() if its == granted), None)
    yield Problem(
        path=path,
        what=f"listener {listener} of {owning}'s gateway serves {served}"
        if serving is not None
        else f"{owning}'s gateway has no listener {listener}",
        remedy=f"write use.gateway.listeners: {{{service}: {exact}}}"
        if exact is not None
        else f"have {owning} publish {name}, as in its network.hostnames: {{open: {name}}}, and write "
        f"use.gateway.listeners: {{{service}: https-open}}",
    )


def _storage(stack: str, tenant: ClusterConfig, owner: ClusterConfig, owning: str) -> Iterator[Problem]:
    use = tenant.storage.use if tenant.storage is not None else None
    if use is None or owner.storage is None:
        return
    nfs = owner.storage.nfs
    if nfs is None:
        return
    homes, scratch = scoped("homes", owning), scoped("scratch", owning)
    classes = (homes,) if nfs.scratch is None else (homes, scratch)
    for key, name in (("homeClass", use.home_class), ("scratchClass", use.scratch_class)):
        if name is not None and name not in classes:
            yield Problem(
                path=("storage", "use", key),
                what=f"{owning} has no class {name}",
                remedy=f"write one of {', '.join(classes)}",
            )
    if use.home_class == homes and owner.storage.zfs is not None:
        yield from _asked_homes(stack, tenant, use, owner, nfs)


def _asked_homes(
    stack: str, tenant: ClusterConfig, use: StorageUse, owner: ClusterConfig, nfs: NfsStorage
) -> Iterator[Problem]:
    """Yield what keeps a storage host from making the homes, and the database's folder, of a tenant's hub."""
    owning, path = tenant.nodes.owner or "", requests_path(nfs)
    server = str(owner.nodes.hosts[nfs.host].address)
    folder = use.home_requests_folder
    if folder is None and use.home_requests is None:
        yield Problem(
            path=("storage", "use"),
            what=f"homes of {use.home_class} are made on {nfs.host}, where nobody asks for them",
            remedy=f'add homeRequestsFolder: {{server: {server}, path: {path}, version: "{nfs.version}"}}',
        )
    elif folder is not None and (str(folder.server), folder.path) != (server, path):
        yield Problem(
            path=("storage", "use", "homeRequestsFolder"),
            what=f"homes are asked for at {server}:{path}, says {owning}",
            remedy=f"write {{server: {server}, path: {path}}}",
        )
    hub = tenant.hub
    if hub is not None and hub.database.kind == "volume" and stack not in nfs.homes.hubs:
        yield Problem(
            path=("hub", "database"),
            what=f"the hub's database lies among {owning}'s homes, and nobody makes its folder there",
            remedy=f"add {stack} to storage.nfs.homes.hubs of {owning}, or keep it on a server (kind: postgres)",
        )


def _slices(tenant: ClusterConfig, owner: ClusterConfig, owning: str) -> Iterator[Problem]:
    if tenant.gpu is None or tenant.gpu.use is None:
        return
    hosts = {name: host.gpus for name, host in members(owner.nodes).items()}
    offered = offered_slices(owner.gpu, hosts) if owner.gpu is not None else ()
    for index, used in enumerate(tenant.gpu.use.slices):
        path: Path = ("gpu", "use", "slices", index)
        same = [each for each in offered if each.name == used.slice and used.model in {None, each.model}]
        most = max((each.most_on_one_node for each in same), default=0)
        if not same:
            names = sorted({f"{each.name} of {each.model}" if each.model else each.name for each in offered})
            yield Problem(
                path=(*path, "slice"),
                what=f"{owning} offers no {used.slice}{f' of {used.model}' if used.model else ''}",
                remedy=f"write one of {', '.join(names)}" if names else "leave gpu out: it has no GPUs",
            )
        elif used.count > most:
            yield Problem(
                path=(*path, "count"),
                what=f"no node of {owning} offers more than {most} of {used.slice}",
                remedy=f"write {most}, or fewer",
            )
        elif all(each.strategy != used.strategy for each in same):
            yield Problem(
                path=(*path, "strategy"),
                what=f"{owning} cuts {used.slice} by strategy {same[0].strategy}",
                remedy=f"write {same[0].strategy}",
            )


def _schedulers(tenant: ClusterConfig, owner: ClusterConfig, owning: str) -> Iterator[Problem]:
    if tenant.scheduling is None or tenant.scheduling.use is None:
        return
    known: Sequence[str] = (SPREADING,)
    if owner.scheduling is not None:
        names = scheduler_names(owner.scheduling)
        known = (SPREADING, PACKING) if owner.scheduling.use is None else (names.interactive, names.batch)
    used = tenant.scheduling.use
    for key, name in (("interactive", used.interactive), ("batch", used.batch)):
        if name not in known:
            yield Problem(
                path=("scheduling", "use", key),
                what=f"{owning} has no scheduler {name}",
                remedy=f"write one of {', '.join(known)}",
            )
