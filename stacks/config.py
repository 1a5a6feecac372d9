"""The cluster a stack file describes: the sum of the components' sections, validated as one.

Both engines come through `parse_cluster`: the program with what its engine hands it, `stacks.loading` with what the
file says. Everything that is wrong is reported at once, and nothing is touched.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError

from components.addresses import DnsLabel, DnsName
from components.gpu.config import DriverSource, GpuConfig
from components.gpu.models import GpuModelName
from components.gpu.slices import possible_resources, resource_name
from components.hub.config import HubConfig
from components.model import Model
from components.network.config import NetworkConfig
from components.nodes.config import NodesConfig
from components.nodes.settings import ClusterSettings
from components.scheduling.config import SchedulingConfig
from components.scheduling.plan import scheduler_configuration
from components.storage.config import StorageConfig

from .checks import check_cluster
from .diagnosis import diagnose
from .errors import StackFileError
from .text_checks import check_texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value
    from components.pins import Pins
    from components.problems import Path, Problem

__all__ = [
    "CLUSTER_KEY",
    "ChartsConfig",
    "ClusterConfig",
    "cluster_settings",
    "own_scheduler",
    "parse_cluster",
    "with_line",
]

CLUSTER_KEY = "cluster"
"""Configuration key, within the project's namespace, of the structured value that describes the cluster."""


class ChartsConfig(Model):
    """Where charts are taken from."""

    mirror: str | None = Field(
        default=None,
        pattern=r"^(oci://|https://|file:///)\S+$",
        description="Place that holds every pinned chart, instead of the publishers' own: an OCI folder (oci://), a "
        "Helm repository (https://) or a folder of packaged charts (file:///).",
    )


class ClusterConfig(Model):
    """One research-compute cluster. A component that is left out is not built."""

    name: DnsLabel = Field(
        max_length=40,
        description="The cluster's name. Its provider is known by it, so it stays the same for the cluster's life.",
    )
    domain: DnsName = Field(description="DNS domain of the lab's services; every published host name lies in it.")
    contact: str = Field(
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
        description="E-mail address of whoever runs the cluster, shown with its outputs.",
    )
    nodes: NodesConfig = Field(description="The lab's machines, or the cluster they are already.")
    network: NetworkConfig | None = Field(
        default=None, description="Address plan, pod network, load balancer, gateway and certificates."
    )
    storage: StorageConfig | None = Field(default=None, description="Homes, scratch space and shared folders.")
    gpu: GpuConfig | None = Field(default=None, title="GPU", description="How the hosts' GPUs are cut and handed out.")
    scheduling: SchedulingConfig | None = Field(
        default=None,
        description="Where interactive and batch work is placed; without it, as Kubernetes does.",
    )
    hub: HubConfig | None = Field(default=None, description="JupyterHub: sign-in, profiles, homes and culling.")
    charts: ChartsConfig = Field(default=ChartsConfig(), description="Where charts are taken from.")


def cluster_settings(config: ClusterConfig, pins: Pins) -> ClusterSettings | None:
    """Return what the nodes' planners are told about the rest of a cluster; None where it has no address plan."""
    network = config.network
    if network is None:
        return None
    return ClusterSettings(
        name=config.name,
        hosts=network.hosts,
        pods=network.pods,
        services=network.services,
        domain=network.cluster_domain,
        management=network.management,
        nfs_clients=config.storage.nfs.clients if config.storage is not None and config.storage.nfs is not None else (),
        pins=pins,
        host_mtu_bytes=network.cni.host_mtu_bytes if network.cni is not None else None,
        scheduler=own_scheduler(config),
        has_host_driver=config.gpu is not None and config.gpu.driver.source is DriverSource.HOST,
    )


def own_scheduler(config: ClusterConfig) -> Mapping[str, Value] | None:
    """Return what the cluster's own scheduler is told; None for its defaults, and where it is another's."""
    if config.scheduling is None or config.scheduling.use is not None:
        return None
    # Lost hosts too: one that is taken out and comes back is no reason to restart schedulers.
    gpus = [host.gpus for host in config.nodes.hosts.values() if host.gpus is not None]
    resources = set(possible_resources(GpuModelName(found.model) for found in gpus))
    if config.gpu is not None and config.gpu.use is not None:
        resources |= {resource_name(used.slice) for used in config.gpu.use.slices}
    return scheduler_configuration(config.scheduling, sorted(resources))


def parse_cluster(
    data: Value, *, file: str, lines: Mapping[Path, int] | None = None, pins: Pins | None = None
) -> ClusterConfig:
    """Return the cluster that plain data describes.

    Parameters
    ----------
    data
        The value of ``research-compute:cluster``.
    file
        What the data came from, for the message.
    lines
        Line of each path within the data, where they are known.
    pins
        The environment's pinned versions, where one is known: profiles may only name images that it pins.

    Raises
    ------
    StackFileError
        With everything that is wrong: shape, values, what does not fit together, placeholders and plain secrets.
    """
    problems: dict[Path, list[Problem]] = {}
    for problem in check_texts(data):
        problems.setdefault(problem.path, []).append(problem)
    config, shape = _validated(data)
    for problem in shape:
        if not any(_same_place(problem.path, path) for path in problems):
            problems.setdefault(problem.path, []).append(problem)
    if config is not None:
        broken = frozenset(str(found.path[0]) for found in shape if found.path)
        for problem in check_cluster(config, broken, None if pins is None else pins.images):
            problems.setdefault(problem.path, []).append(problem)
    everything = [problem for found in problems.values() for problem in found]
    if everything or config is None:
        raise StackFileError(file=file, problems=[with_line(problem, lines or {}) for problem in everything])
    return config


def _same_place(shape: Path, text: Path) -> bool:
    """Tell whether a wrong shape is only what a placeholder or a secret did to its place."""
    return shape[: len(text)] == text or shape == text[:-1]


def _validated(data: Value) -> tuple[ClusterConfig | None, list[Problem]]:
    """Return the cluster and what is wrong with its shape; what is wrong is left out of it, or stood in for."""
    try:
        return _by_alias(data), []
    except ValidationError as error:
        problems = diagnose(error, data, _schema)
    if not isinstance(data, dict):
        return None, problems
    broken = {str(problem.path[0]) for problem in problems if problem.path}
    try:
        sound = {key: value for key, value in data.items() if key not in broken}
        return _by_alias({**{key: value for key, value in _STAND_INS.items() if key in broken}, **sound}), problems
    except ValidationError:
        return None, problems


@cache
def _schema() -> Mapping[str, object]:
    """Return the schema of a cluster, which takes as long to make as everything else here together."""
    return ClusterConfig.model_json_schema()


_STAND_INS: Mapping[str, Value] = {
    "name": "wrong",
    "domain": "wrong.invalid",
    "contact": "wrong@wrong.invalid",
    "nodes": {},
}
"""What stands for a required key that is wrong, so that the rest can be checked all the same."""


def _by_alias(data: Value) -> ClusterConfig:
    """Return the cluster, its keys spelled as the file spells them and not as Python does."""
    return ClusterConfig.model_validate(data, by_alias=True, by_name=False)


def with_line(problem: Problem, lines: Mapping[Path, int]) -> Problem:
    """Return the problem with the line of its place, or of the nearest thing around it that the file has."""
    if problem.line is not None:
        return problem
    for length in range(len(problem.path), -1, -1):
        if (line := lines.get(problem.path[:length])) is not None:
            return replace(problem, line=line)
    return problem
