"""Steps that make and keep the control plane: its load balancer, its configuration, the cluster's beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .api_server_plan import audit_policy, authentication_configuration
from .config import API_SERVER_PORT
from .host_files_plan import mirror_values
from .kubeadm_plan import API_SERVER_FILES, AUDIT_LOG_FOLDER, authority, endpoint, kubeadm_configuration
from .load_balancer_plan import haproxy_configuration, keepalived_configuration
from .plan import bootstrap_host, control_planes
from .scheduler_plan import SCHEDULER_FILES, scheduler_file, scheduler_path
from .steps import Lifecycle, Step, StepOutput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .config import NodesConfig
    from .control_plane_config import EncryptionConfig
    from .settings import ClusterSettings
    from .steps import ScriptValue

__all__ = ["cluster_steps", "control_plane_steps", "kubeconfig_steps", "load_balancer_steps"]


def load_balancer_steps(config: NodesConfig) -> tuple[Step, ...]:
    """Return the step that gives every control-plane host its share of the endpoint; none without an endpoint."""
    if config.endpoint is None:
        return ()
    return tuple(
        Step(
            name="load-balancer",
            subject=host,
            host=host,
            libraries=("kube",),
            values={
                **mirror_values(config),
                "ADDRESS": str(config.hosts[host].address),
                "ENDPOINT": endpoint(config),
                "HAPROXY": haproxy_configuration(config, config.endpoint),
                "KEEPALIVED": keepalived_configuration(config, config.endpoint, host),
            },
            after=(("system", host),),
        )
        for host in control_planes(config)
    )


def control_plane_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return the step that configures every control-plane host, one host after the other."""
    hosts = control_planes(config)
    return tuple(
        Step(
            name="control-plane",
            subject=host,
            host=host,
            libraries=("kube", "encryption-check"),
            values=_control_plane_values(config, settings, host),
            after=(
                ("kubernetes", host),
                ("load-balancer", host),
                *((("control-plane", hosts[index - 1]),) if index else ()),
            ),
        )
        for index, host in enumerate(hosts)
    )


def cluster_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return the one step that begins the cluster on the bootstrap host, where none is to be found.

    It waits for what every control-plane host says about itself: one that holds a cluster's CA or etcd's data keeps a
    second cluster from being made.
    """
    first = bootstrap_host(config)
    if first is None:
        return ()
    hosts = control_planes(config)
    return (
        Step(
            name="cluster",
            subject=None,
            host=first,
            libraries=("kube",),
            lifecycle=Lifecycle.ONCE,
            values={
                "ADDRESS": str(config.hosts[first].address),
                "ENDPOINT": endpoint(config),
                "HOSTS": hosts,
                "KUBERNETES_VERSION": settings.pins.kubernetes,
                **{
                    f"HOLDS_CLUSTER_{index}": StepOutput(step="request", host=host, key="holds_cluster")
                    for index, host in enumerate(hosts)
                },
            },
            after=(("control-plane", first), ("runtime", first), ("kubernetes", first), ("admit", first)),
        ),
    )


def kubeconfig_steps(config: NodesConfig, settings: ClusterSettings) -> tuple[Step, ...]:
    """Return the one step that makes an administrator's kubeconfig, anew with every renewal of the certificates."""
    first = bootstrap_host(config)
    if first is None:
        return ()
    return (
        Step(
            name="kubeconfig",
            subject=None,
            host=first,
            libraries=("kube",),
            lifecycle=Lifecycle.ONCE,
            generation=config.certificates.renewal,
            values={"CLUSTER": settings.name, "ENDPOINT": endpoint(config)},
            after=(("join", first), *(("certificates", host) for host in control_planes(config))),
            output_is_secret=True,
        ),
    )


def _control_plane_values(config: NodesConfig, settings: ClusterSettings, host: str) -> Mapping[str, ScriptValue]:
    plane = config.control_plane
    return {
        "ADDRESS": str(config.hosts[host].address),
        "API_SERVER": authority(config.hosts[host].address, API_SERVER_PORT),
        "API_SERVER_FILES": API_SERVER_FILES,
        "AUDIT_LOG_FOLDER": AUDIT_LOG_FOLDER,
        "AUDIT_POLICY": audit_policy(plane.audit),
        "AUTHENTICATION": authentication_configuration(plane.oidc),
        "ENDPOINT": endpoint(config),
        "KUBEADM": kubeadm_configuration(config, settings, host),
        "KUBERNETES_VERSION": settings.pins.kubernetes,
        "SAN": tuple(str(name) for name in plane.san),
        "SCHEDULER": scheduler_file(settings.scheduler),
        "SCHEDULER_FILE": scheduler_path(settings.scheduler),
        "SCHEDULER_FILES": SCHEDULER_FILES,
        **_keys(plane.encryption),
    }


def _keys(encryption: EncryptionConfig | None) -> Mapping[str, ScriptValue]:
    """Return the names of the keys in order, and the keys themselves by their place; ``identity`` has none."""
    if encryption is None:
        return {"KEY_NAMES": ()}
    return {
        "KEY_NAMES": tuple(key.name for key in encryption.keys),
        **{f"KEY_{index}": key.key for index, key in enumerate(encryption.keys) if key.key is not None},
    }
