"""What a server's pod may not have: privilege, the node, tokens, secrets, images and labels that nobody planned.

The namespace enforces Pod Security as well, but with LXCFS its label is relaxed (`components.hub.lxcfs`), so nothing of
this is left to Pod Security alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.hub.flows import SERVERS
from components.hub.profiles.plan import HIDDEN_GPUS
from components.namespaces.plan import LABEL_DOMAIN

from .cel import CONTAINERS, each_container, mapping, nothing_at_all, one_of, text, texts
from .policy import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .policy import ServerPlan

__all__ = ["COMPONENT_LABEL", "NETWORK_LABEL", "POD_VARIABLES", "SERVER_COMPONENT", "privilege_rules", "server_rules"]

COMPONENT_LABEL, SERVER_COMPONENT = next(iter(SERVERS.labels.items()))
"""The label by which the network policies know a server, and its value."""
LEGACY_COMPONENT_LABEL = "component"
"""The same of the chart's older policies (``jupyterhub.matchLabelsLegacyAndModern``)."""
NETWORK_LABEL = f"{LABEL_DOMAIN}/network"
"""Network class of a server."""
GPU_VARIABLE = "NVIDIA_VISIBLE_DEVICES"
"""By which the NVIDIA runtime decides which GPUs a container sees (NVIDIA Container Toolkit)."""
GPU_RESOURCES = "nvidia.com/"
"""Beginning of the resources that GPUs and their slices are asked for by."""

POD_VARIABLES: Mapping[str, str] = {
    "annotations": "object.metadata.?annotations.orValue({})",
    "labels": "object.metadata.?labels.orValue({})",
    "containers": "object.spec.containers + object.spec.?initContainers.orValue([])",
    "volumes": "object.spec.?volumes.orValue([])",
    "claims": "variables.volumes.filter(v, has(v.persistentVolumeClaim)).map(v, v.persistentVolumeClaim.claimName)",
}
"""Variables of every policy that looks at a pod; those of its identity use them."""


def server_rules(plan: ServerPlan) -> Iterator[Rule]:
    """Yield what holds of every pod the hub makes, beside whose it is.

    Parameters
    ----------
    plan
        What servers are made of.
    """
    yield from privilege_rules(CONTAINERS)
    yield from _pod_security()
    yield from _token()
    yield from _volumes(plan)
    yield from _images(plan)
    yield from _placement(plan)
    yield from _marks(plan)


def privilege_rules(containers: str) -> Iterator[Rule]:
    """Yield what holds of the privileges of some containers.

    Parameters
    ----------
    containers
        CEL of the list.
    """
    context = "c.?securityContext"
    pod_seccomp = "object.spec.?securityContext.?seccompProfile.?type"
    checks = (
        ("privileged", "It would own its node.", f"!{context}.?privileged.orValue(false)", "is privileged"),
        (
            "escalation",
            "A program that changes its user would be another one.",
            f"!{context}.?allowPrivilegeEscalation.orValue(true)",
            "may gain privileges: allowPrivilegeEscalation is not false",
        ),
        (
            "capabilities",
            "A capability is a part of what root may.",
            f"'ALL' in {context}.?capabilities.?drop.orValue([]) && !{context}.?capabilities.?add.hasValue()",
            "has capabilities: it has to drop ALL and add none",
        ),
        (
            "root",
            "The user of an image may be root.",
            f"{context}.?runAsNonRoot.orValue(object.spec.?securityContext.?runAsNonRoot.orValue(false))",
            "may run as root: runAsNonRoot is not true",
        ),
        (
            "seccomp",
            "System calls that a container does not need are how nodes are taken over.",
            f"{context}.?seccompProfile.?type.orValue({pod_seccomp}.orValue('unset')) == 'RuntimeDefault'",
            "is not confined to its runtime's system calls: seccompProfile is not RuntimeDefault",
        ),
        (
            "proc-mount",
            "An unmasked /proc shows and changes the node's kernel.",
            f"{context}.?procMount.orValue('Default') == 'Default'",
            "has an unmasked /proc",
        ),
        (
            "confinement",
            "AppArmor, SELinux and Windows options loosen what confines a container.",
            (
                f"{context}.?appArmorProfile.?type.orValue('RuntimeDefault') == 'RuntimeDefault'"
                f" && !{context}.?seLinuxOptions.hasValue() && !{context}.?windowsOptions.hasValue()"
            ),
            "chooses its own AppArmor, SELinux or Windows options",
        ),
        (
            "block-devices",
            "A disk in the raw has no file permissions.",
            "c.?volumeDevices.orValue([]).size() == 0",
            "has a raw block device",
        ),
        (
            "foreign-secrets",
            "Its environment would hold a secret of the hub's.",
            (
                "c.?envFrom.orValue([]).size() == 0 && c.?env.orValue([]).all(e, !e.?valueFrom.?secretKeyRef.hasValue()"
                " && !e.?valueFrom.?configMapKeyRef.hasValue())"
            ),
            "takes its environment from a Secret or a ConfigMap",
        ),
    )
    for name, reason, condition, wrong in checks:
        yield each_container(name, reason, condition, wrong, containers)


def _pod_security() -> Iterator[Rule]:
    asked = (
        "(object.spec.?hostNetwork.orValue(false) ? ['hostNetwork'] : [])"
        " + (object.spec.?hostPID.orValue(false) ? ['hostPID'] : [])"
        " + (object.spec.?hostIPC.orValue(false) ? ['hostIPC'] : [])"
    )
    yield nothing_at_all(
        "host-namespaces", "It would see its node's processes or connections.", f"({asked})", "it is part of its node"
    )
    yield each_container(
        "host-ports",
        "It would listen on its node's own address.",
        "c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)",
        "listens on its node's address (hostPort)",
    )
    yield nothing_at_all(
        "sysctls",
        "Settings of a kernel are the node's.",
        "object.spec.?securityContext.?sysctls.orValue([]).map(s, s.name)",
        "it changes settings of the kernel",
    )
    context = "object.spec.?securityContext"
    yield Rule(
        name="pod-confinement",
        reason="What loosens the confinement of a pod loosens that of its containers.",
        expression=f"{context}.?appArmorProfile.?type.orValue('RuntimeDefault') == 'RuntimeDefault'"
        f" && !{context}.?seLinuxOptions.hasValue() && !{context}.?windowsOptions.hasValue()"
        f" && {context}.?seccompProfile.?type.orValue('RuntimeDefault') == 'RuntimeDefault'",
        message="it chooses its own AppArmor, SELinux, seccomp or Windows options",
        message_expression="'it chooses its own AppArmor, SELinux, seccomp or Windows options'",
    )
    probed = (
        "[c.?livenessProbe.?httpGet.?host, c.?livenessProbe.?tcpSocket.?host, c.?readinessProbe.?httpGet.?host,"
        " c.?readinessProbe.?tcpSocket.?host, c.?startupProbe.?httpGet.?host, c.?startupProbe.?tcpSocket.?host,"
        " c.?lifecycle.?postStart.?httpGet.?host, c.?lifecycle.?postStart.?tcpSocket.?host,"
        " c.?lifecycle.?preStop.?httpGet.?host, c.?lifecycle.?preStop.?tcpSocket.?host]"
    )
    yield each_container(
        "probes",
        "Its node would knock for it at addresses that network policies close to it.",
        f"{probed}.all(host, host.orValue('') == '')",
        "has a probe or a hook that asks another host",
    )


def _token() -> Iterator[Rule]:
    account = "object.spec.?serviceAccountName.orValue('default')"
    yield Rule(
        name="service-account",
        reason="With another account a server could do what that one may: the hub's makes pods.",
        expression=f"{account} == 'default'",
        message="it runs with another service account than default",
        message_expression=f"'it runs with service account ' + {account} + '; servers have default, which may nothing'",
    )
    yield Rule(
        name="token",
        reason="A notebook has no business with the API server.",
        expression="!object.spec.?automountServiceAccountToken.orValue(true)",
        message="it mounts its account's token: automountServiceAccountToken is not false",
        message_expression="'it mounts its account\\'s token: automountServiceAccountToken is not false'",
    )
    yield nothing_at_all(
        "projected",
        "A projected volume can hold a token of its own.",
        "variables.volumes.filter(v, has(v.projected) && v.projected.?sources.orValue([]).exists(s, "
        "!has(s.configMap) && !has(s.downwardAPI))).map(v, v.name)",
        "it projects tokens or secrets into volumes",
    )


def _volumes(plan: ServerPlan) -> Iterator[Rule]:
    secret = "v.secret.?secretName.orValue('')"  # noqa: S105 - CEL
    yield nothing_at_all(
        "secrets",
        "The hub's own keys are Secrets of the same namespace.",
        f"variables.volumes.filter(v, has(v.secret) && !({one_of(secret, plan.secrets)})).map(v, {secret})",
        "it mounts Secrets that are not planned",
    )
    config_map = "v.configMap.?name.orValue('')"
    yield nothing_at_all(
        "config-maps",
        "A server sees of the hub's settings what is planned.",
        f"variables.volumes.filter(v, has(v.configMap) && !({one_of(config_map, plan.config_maps)}))"
        f".map(v, {config_map})",
        "it mounts ConfigMaps that are not planned",
    )
    projected = "s.configMap.?name.orValue('')"
    yield nothing_at_all(
        "projected-config-maps",
        "A projected volume can hold several of them.",
        "variables.volumes.filter(v, has(v.projected) && v.projected.?sources.orValue([]).exists(s, "
        f"has(s.configMap) && !({one_of(projected, plan.config_maps)}))).map(v, v.name)",
        "it projects ConfigMaps that are not planned into volumes",
    )
    planned = texts(plan.host_files.values())
    yield nothing_at_all(
        "host-paths",
        "A path of its node leads to everything on it.",
        f"variables.volumes.filter(v, has(v.hostPath) && !(v.hostPath.path in {planned}"
        " && v.hostPath.?type.orValue('') == 'File')).map(v, v.hostPath.path)",
        "it mounts paths of its node that are not planned",
    )
    files = mapping(plan.host_files)
    mounted = "variables.volumes.exists(v, has(v.hostPath) && v.name == m.name)"
    place = f"variables.volumes.exists(v, v.name == m.name && v.hostPath.path == {files}[?m.mountPath].orValue(''))"
    yield each_container(
        "host-files",
        "LXCFS's files are to be read, each in its own place, and nothing else is done with them.",
        f"c.?volumeMounts.orValue([]).all(m, !({mounted}) || (m.?readOnly.orValue(false) && {place}"
        " && m.?subPath.orValue('') == '' && m.?subPathExpr.orValue('') == ''))",
        "mounts a file of its node for writing, or elsewhere than planned",
    )
    kinds = ("persistentVolumeClaim", "emptyDir", "downwardAPI", "secret", "configMap", "hostPath", "projected")
    yield nothing_at_all(
        "volume-kinds",
        "Other volumes reach storage past its claims.",
        f"variables.volumes.filter(v, !({' || '.join(f'has(v.{kind})' for kind in kinds)})).map(v, v.name)",
        "it has volumes of a kind that is not planned",
    )


def _images(plan: ServerPlan) -> Iterator[Rule]:
    images = texts(plan.images)
    yield Rule(
        name="images",
        reason="Only what the lab pinned runs on its nodes.",
        expression=f"{CONTAINERS}.all(c, c.image in {images})",
        message="an image is not planned",
        message_expression=f"'images that are not planned: ' + {CONTAINERS}.filter(c, !(c.image in {images}))"
        ".map(c, c.image).join(', ')",
    )
    yield nothing_at_all(
        "pull-secrets",
        "A registry's credentials are pulled with by what they were given for.",
        "object.spec.?imagePullSecrets.orValue([]).map(s, s.?name.orValue(''))"
        f".filter(name, !({one_of('name', plan.pull_secrets)}))",
        "it pulls with Secrets that are not planned",
    )
    asks = f"c.?resources.?limits.orValue({{}}).exists(k, k.startsWith('{GPU_RESOURCES}'))"
    variables = f"c.?env.orValue([]).filter(e, e.name == '{GPU_VARIABLE}')"
    yield each_container(
        "gpus",
        "A runtime that believes the variable would show every GPU of the node, whatever was asked for.",
        f"{asks} ? {variables}.size() == 0"
        f" : {variables}.size() > 0 && {variables}.all(e, e.?value.orValue('') == '{HIDDEN_GPUS}')",
        f"says which GPUs it sees: {GPU_VARIABLE} is {HIDDEN_GPUS} without a GPU, and not there with one",
    )


def _placement(plan: ServerPlan) -> Iterator[Rule]:
    yield Rule(
        name="node",
        reason="A pod that names its node goes past the scheduler, taints and queues.",
        expression="object.spec.?nodeName.orValue('') == ''",
        message="it names its node",
        message_expression="'it names its node: ' + object.spec.?nodeName.orValue('')",
    )
    for name, field, wanted, reason in (
        ("scheduler", "schedulerName", plan.scheduler, "Another scheduler would place it where nobody planned it."),
        ("priority", "priorityClassName", plan.priority, "A higher priority evicts what others run."),
        ("runtime", "runtimeClassName", "", "Another runtime confines it in another way, or not."),
    ):
        found = f"object.spec.?{field}.orValue('')"
        yield Rule(
            name=name,
            reason=reason,
            expression=f"{found} == {text(wanted)}",
            message=f"its {field} is not the planned one",
            message_expression=f"'{field} is [' + {found} + '], planned is [' + {text(wanted)} + ']'",
        )
    shown = "t.?key.orValue('') + '|' + t.?operator.orValue('Equal') + '|' + t.?value.orValue('') + '|'"
    shown += " + t.?effect.orValue('')"
    yield nothing_at_all(
        "tolerations",
        "A taint keeps nodes for whom they are meant.",
        f"object.spec.?tolerations.orValue([]).map(t, {shown}).filter(t, !({one_of('t', plan.tolerations)}))",
        "it tolerates taints as nobody planned",
    )
    yield nothing_at_all(
        "devices",
        "Devices by claim are no part of any profile.",
        "object.spec.?resourceClaims.orValue([]).map(r, r.name)",
        "it claims devices that are not planned",
    )


def _marks(plan: ServerPlan) -> Iterator[Rule]:
    component = f"variables.labels[?'{COMPONENT_LABEL}'].orValue('')"
    yield Rule(
        name="component",
        reason="Network policies and Services know pods by this label: with the hub's a server would be the hub.",
        expression=f"{component} == '{SERVER_COMPONENT}' && "
        f"variables.labels[?'{LEGACY_COMPONENT_LABEL}'].orValue('{SERVER_COMPONENT}') == '{SERVER_COMPONENT}'",
        message=f"it is not labelled as a server: {COMPONENT_LABEL} is not {SERVER_COMPONENT}",
        message_expression=f"'it is not labelled as a server: {COMPONENT_LABEL} is [' + {component} + '] and "
        f"{LEGACY_COMPONENT_LABEL} is [' + variables.labels[?'{LEGACY_COMPONENT_LABEL}'].orValue('') + ']'",
    )
    yield nothing_at_all(
        "labels",
        "Labels of this program's are what its policies go by.",
        f"variables.labels.map(key, key).filter(key, key.startsWith('{LABEL_DOMAIN}/')"
        f" && !({one_of('key', plan.labels)}))",
        "it has labels that are not planned",
    )
    network = f"variables.labels[?'{NETWORK_LABEL}'].orValue('')"
    yield Rule(
        name="network",
        reason="The class decides where a server's connections may go.",
        expression=one_of(network, plan.networks or ("",)),
        message="its network class is not planned",
        message_expression=f"'network class [' + {network} + '] is not one of ' + "
        f"{texts(plan.networks or ('none',))}.join(', ')",
    )
    yield nothing_at_all(
        "annotations",
        "Runtimes, injectors and controllers are told by annotations what to add to a pod.",
        f"variables.annotations.map(key, key).filter(key, !{texts(plan.annotations)}.exists(p, key.startsWith(p)))",
        "it has annotations that are not planned",
    )
    yield Rule(
        name="owners",
        reason="An owner or a finalizer decides when a pod goes, or keeps it from going.",
        expression="object.metadata.?ownerReferences.orValue([]).size() == 0"
        " && object.metadata.?finalizers.orValue([]).size() == 0",
        message="it has an owner or a finalizer",
        message_expression="'it has owners or finalizers: ' + (object.metadata.?ownerReferences.orValue([])"
        ".map(o, o.kind + ' ' + o.name) + object.metadata.?finalizers.orValue([])).join(', ')",
    )
