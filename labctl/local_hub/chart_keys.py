"""Which values of the hub's chart mean what: Zero to JupyterHub 4.4, its ``values.yaml`` and ``jupyterhub_config.py``.

Data. A value that stands in none of these tables is refused by name (`chart.untranslated`): it would be ignored else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.graph.values import Plain as Value

__all__ = ["CLUSTER_ONLY", "DEFAULTS", "HUB_TRAITS", "READ", "REFUSED_UNLESS", "SPAWNER_TRAITS"]

HUB_TRAITS: Mapping[str, str] = {
    "concurrent_spawn_limit": "concurrentSpawnLimit",
    "active_server_limit": "activeServerLimit",
    "base_url": "baseUrl",
    "allow_named_servers": "allowNamedServers",
    "named_server_limit_per_user": "namedServerLimitPerUser",
    "authenticate_prometheus": "authenticatePrometheus",
    "redirect_to_server": "redirectToServer",
    "shutdown_on_logout": "shutdownOnLogout",
    "template_paths": "templatePaths",
    "template_vars": "templateVars",
}
"""Traits of JupyterHub by value below ``hub``; one without a value is left as it is."""

SPAWNER_TRAITS: Mapping[str, str] = {
    "pod_name_template": "podNameTemplate",
    "start_timeout": "startTimeout",
    "image_pull_policy": "image.pullPolicy",
    "events_enabled": "events",
    "extra_labels": "extraLabels",
    "extra_annotations": "extraAnnotations",
    "uid": "uid",
    "fs_gid": "fsGid",
    "service_account": "serviceAccountName",
    "storage_extra_labels": "storage.extraLabels",
    "node_selector": "nodeSelector",
    "node_affinity_required": "extraNodeAffinity.required",
    "node_affinity_preferred": "extraNodeAffinity.preferred",
    "pod_affinity_required": "extraPodAffinity.required",
    "pod_affinity_preferred": "extraPodAffinity.preferred",
    "pod_anti_affinity_required": "extraPodAntiAffinity.required",
    "pod_anti_affinity_preferred": "extraPodAntiAffinity.preferred",
    "lifecycle_hooks": "lifecycleHooks",
    "init_containers": "initContainers",
    "extra_containers": "extraContainers",
    "mem_limit": "memory.limit",
    "mem_guarantee": "memory.guarantee",
    "cpu_limit": "cpu.limit",
    "cpu_guarantee": "cpu.guarantee",
    "extra_resource_limits": "extraResource.limits",
    "extra_resource_guarantees": "extraResource.guarantees",
    "environment": "extraEnv",
    "profile_list": "profileList",
    "extra_pod_config": "extraPodConfig",
}
"""Traits of KubeSpawner by value below ``singleuser``; one without a value is left as it is."""

READ = frozenset(
    {f"hub.{key}" for key in HUB_TRAITS.values()}
    | {f"singleuser.{key}" for key in SPAWNER_TRAITS.values()}
    | {
        "custom",
        "cull.adminUsers",
        "cull.concurrency",
        "cull.enabled",
        "cull.every",
        "cull.maxAge",
        "cull.removeNamedServers",
        "cull.timeout",
        "cull.users",
        "debug.enabled",
        "hub.config",
        "hub.consecutiveFailureLimit",
        "hub.db.type",
        "hub.existingSecret",
        "hub.extraConfig",
        "hub.extraEnv",
        "hub.extraFiles",
        "hub.extraVolumeMounts",
        "hub.extraVolumes",
        "hub.loadRoles",
        "hub.services",
        "scheduling.userPods.nodeAffinity.matchNodePurpose",
        "scheduling.userPods.tolerations",
        "singleuser.allowPrivilegeEscalation",
        "singleuser.cmd",
        "singleuser.defaultUrl",
        "singleuser.extraTolerations",
        "singleuser.image.name",
        "singleuser.image.tag",
        "singleuser.storage.capacity",
        "singleuser.storage.dynamic.pvcNameTemplate",
        "singleuser.storage.dynamic.storageAccessModes",
        "singleuser.storage.dynamic.storageClass",
        "singleuser.storage.dynamic.subPath",
        "singleuser.storage.dynamic.volumeNameTemplate",
        "singleuser.storage.extraVolumeMounts",
        "singleuser.storage.extraVolumes",
        "singleuser.storage.homeMountPath",
    }
)
"""Paths of the values that are translated, each with all below it."""

CLUSTER_ONLY: Mapping[str, str] = {
    "hub.annotations": "of the hub's pod",
    "hub.containerSecurityContext": "of the hub's pod",
    "hub.db.password": "of a database server; here the database is a file",
    "hub.db.pvc": "volume of the hub's database; here it is a folder",
    "hub.db.upgrade": "the local database is always brought up to date",
    "hub.db.url": "of a database server; here the database is a file",
    "hub.extraContainers": "beside the hub in its pod; here the hub is alone",
    "hub.extraPodSpec": "of the hub's pod",
    "hub.image": "of the hub's pod",
    "hub.initContainers": "of the hub's pod",
    "hub.labels": "of the hub's pod",
    "hub.livenessProbe": "of the hub's pod",
    "hub.networkPolicy": "between pods",
    "hub.nodeSelector": "of the hub's pod",
    "hub.pdb": "of the hub's pod",
    "hub.podSecurityContext": "of the hub's pod",
    "hub.readinessProbe": "of the hub's pod",
    "hub.resources": "of the hub's pod",
    "hub.serviceAccount": "made beside the hub",
    "hub.tolerations": "of the hub's pod",
    "httpRoute": "between the gateway and the proxy",
    "ingress": "between the ingress and the proxy",
    "prePuller": "images are not pulled here",
    "proxy": "of the proxy's pod; here the proxy listens on loopback",
    "scheduling.corePods": "of the pods of hub and proxy",
    "scheduling.userPlaceholder": "pods of their own",
    "singleuser.cloudMetadata.ip": "what a privileged init container would block",
    "singleuser.image.pullSecrets": "images are not pulled here",
    "singleuser.networkPolicy": "between pods",
    "singleuser.networkTools": "image of a privileged init container",
}
"""Paths of values that say nothing to a hub outside the cluster, each with all below it, and why."""

REFUSED_UNLESS: Mapping[str, Value] = {
    "scheduling.podPriority.enabled": False,
    "scheduling.userScheduler.enabled": False,
    "singleuser.cloudMetadata.blockWithIptables": False,
    "singleuser.storage.type": "dynamic",
}
"""Paths of values whose other settings nobody here uses, and the one that is known."""

_TOLERATED: list[Value] = [
    {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
    for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
]

DEFAULTS: Mapping[str, Value] = {
    "cull": {
        "enabled": True,
        "users": False,
        "adminUsers": True,
        "removeNamedServers": False,
        "timeout": 3600,
        "every": 600,
        "concurrency": 10,
        "maxAge": 0,
    },
    "custom": {},
    "debug": {"enabled": False},
    "hub": {
        "baseUrl": "/",
        "concurrentSpawnLimit": 64,
        "config": {"JupyterHub": {"admin_access": True, "authenticator_class": "dummy"}},
        "consecutiveFailureLimit": 5,
        "db": {"type": "sqlite-pvc"},
        "extraConfig": {},
        "extraEnv": {},
        "extraFiles": {},
        "extraVolumeMounts": [],
        "extraVolumes": [],
        "loadRoles": {},
        "services": {},
        "templatePaths": [],
        "templateVars": {},
    },
    "scheduling": {
        "podPriority": {"enabled": False},
        "userPods": {"nodeAffinity": {"matchNodePurpose": "prefer"}, "tolerations": _TOLERATED},
    },
    "singleuser": {
        "allowPrivilegeEscalation": False,
        "cmd": "jupyterhub-singleuser",
        "cpu": {},
        "events": True,
        "extraAnnotations": {},
        "extraContainers": [],
        "extraEnv": {},
        "extraLabels": {"hub.jupyter.org/network-access-hub": "true"},
        "extraNodeAffinity": {"preferred": [], "required": []},
        "extraPodAffinity": {"preferred": [], "required": []},
        "extraPodAntiAffinity": {"preferred": [], "required": []},
        "extraPodConfig": {},
        "extraResource": {"guarantees": {}, "limits": {}},
        "extraTolerations": [],
        "fsGid": 100,
        "image": {},
        "initContainers": [],
        "lifecycleHooks": {},
        "memory": {"guarantee": "1G"},
        "nodeSelector": {},
        "profileList": [],
        "startTimeout": 300,
        "storage": {
            "type": "dynamic",
            "capacity": "10Gi",
            "dynamic": {"storageAccessModes": ["ReadWriteOnce"], "volumeNameTemplate": "volume-{user_server}"},
            "extraLabels": {},
            "homeMountPath": "/home/jovyan",
        },
        "uid": 1000,
    },
}
"""The chart's own values where they count and nobody has said another."""
