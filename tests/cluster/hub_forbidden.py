"""What no server may be: one change each of a pod that is admitted, and what the API server says to it."""

from __future__ import annotations

from hub_changes import (
    Forbidden,
    annotate,
    beside,
    both,
    claim,
    label,
    mount_at,
    put,
    volume,
    volume_named,
)

CONTAINER = "spec.containers.0"
CONTEXT = f"{CONTAINER}.securityContext"
OTHER_IMAGE = "registry.invalid/notebook:1@sha256:" + "1" * 64

OF_IDENTITY = (
    Forbidden(
        "another user id",
        "container notebook runs as user 5002; the user's own is 5001",
        put(f"{CONTEXT}.runAsUser", 5002),
    ),
    Forbidden("root", "container notebook runs as user 0", put(f"{CONTEXT}.runAsUser", 0)),
    Forbidden(
        "another group id",
        "container notebook runs as group 6009; the user's own is 5100",
        put(f"{CONTEXT}.runAsGroup", 6009),
    ),
    Forbidden(
        "another user id in an init container",
        "container beside runs as user 5002",
        beside(kind="initContainers", context={"runAsUser": 5002}),
    ),
    Forbidden(
        "another user id in a sidecar", "container beside runs as user 5002", beside(context={"runAsUser": 5002})
    ),
    Forbidden(
        "a further group",
        "its groups are [6001, 6002, 6003] and fsGroup unset; planned are [6001, 6002]",
        put("spec.securityContext.supplementalGroups", [6001, 6002, 6003]),
    ),
    Forbidden("a group left out", "its groups are [6001]", put("spec.securityContext.supplementalGroups", [6001])),
    Forbidden("a group by fsGroup", "fsGroup 6009", put("spec.securityContext.fsGroup", 6009)),
    Forbidden(
        "groups of the image",
        "supplementalGroupsPolicy is Merge, not Strict",
        put("spec.securityContext.supplementalGroupsPolicy", "Merge"),
    ),
    Forbidden(
        "a forged user name",
        "the identity it names is that of ana, and it says it is for bo",
        annotate("hub.jupyter.org/username", "bo"),
    ),
    Forbidden(
        "another user's identity",
        "the identity it names is that of bo, and it says it is for ana",
        annotate("lab.internal/identity", "bo"),
    ),
    Forbidden(
        "another user, with name and identity",
        "container notebook runs as user 5001; the user's own is 5002",
        both(annotate("hub.jupyter.org/username", "bo"), annotate("lab.internal/identity", "bo")),
    ),
    Forbidden(
        "the row of group names for an identity",
        "and it says it is for ana",
        annotate("lab.internal/identity", "-groups"),
    ),
    Forbidden(
        "a user nobody knows",
        "user eve has no identity under eve",
        both(annotate("hub.jupyter.org/username", "eve"), annotate("lab.internal/identity", "eve")),
    ),
    Forbidden(
        "nobody's name",
        "it does not say whose it is",
        lambda pod: pod["metadata"]["annotations"].pop("hub.jupyter.org/username"),
    ),
    Forbidden(
        "another user's home",
        "it mounts home-uid-5002, which is neither the home of ana nor planned",
        volume_named("home", "persistentVolumeClaim.claimName", "home-uid-5002"),
    ),
    Forbidden("another user's home beside one's own", "it mounts home-uid-5002", volume(claim("home-uid-5002"))),
)
"""Of servers that run with their users' own ids, homes by user id."""

OF_LXCFS = (
    Forbidden(
        "a file of LXCFS for writing",
        "host-files: container notebook mounts a file of its node for writing",
        mount_at("/proc/meminfo", readOnly=False),
    ),
    Forbidden(
        "a file of LXCFS in another place",
        "mounts a file of its node for writing, or elsewhere",
        mount_at("/proc/meminfo", mountPath="/proc/cmdline"),
    ),
    Forbidden(
        "two files of LXCFS swapped",
        "or elsewhere",
        volume_named("lxcfs-meminfo", "hostPath.path", "/var/lib/lxcfs/proc/stat"),
    ),
    Forbidden(
        "another file of LXCFS",
        "it mounts paths of its node that are not planned: /var/lib/lxcfs/proc/slabinfo",
        volume_named("lxcfs-meminfo", "hostPath.path", "/var/lib/lxcfs/proc/slabinfo"),
    ),
    Forbidden(
        "LXCFS's folder",
        "not planned: /var/lib/lxcfs",
        volume_named("lxcfs-meminfo", "hostPath", {"path": "/var/lib/lxcfs", "type": "Directory"}),
    ),
    Forbidden(
        "a folder made where LXCFS is missing",
        "not planned: /var/lib/lxcfs/proc/meminfo",
        volume_named("lxcfs-meminfo", "hostPath.type", "DirectoryOrCreate"),
    ),
    Forbidden(
        "a way out of LXCFS's folder",
        "..",
        volume_named("lxcfs-meminfo", "hostPath.path", "/var/lib/lxcfs/proc/../../../etc/shadow"),
    ),
)
"""Of servers that have LXCFS's files."""

OF_EVERYBODY = (
    Forbidden("the hub's database", "it mounts hub-db-dir", volume(claim("hub-db-dir"))),
    Forbidden(
        "a shared folder for writing that is for reading",
        "it mounts for writing what is planned for reading: shared-datasets",
        volume_named("shared-datasets", "persistentVolumeClaim.readOnly", value=False),
    ),
    Forbidden(
        "a privileged container",
        "privileged: container notebook is privileged",
        both(put(f"{CONTEXT}.privileged", value=True), put(f"{CONTEXT}.allowPrivilegeEscalation", value=True)),
    ),
    Forbidden(
        "privilege escalation",
        "escalation: container notebook may gain privileges",
        put(f"{CONTEXT}.allowPrivilegeEscalation", value=True),
    ),
    Forbidden(
        "privilege escalation by saying nothing",
        "escalation: container notebook",
        lambda pod: pod["spec"]["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    ),
    Forbidden(
        "an added capability",
        "capabilities: container notebook has capabilities",
        put(f"{CONTEXT}.capabilities", {"drop": ["ALL"], "add": ["SYS_PTRACE"]}),
    ),
    Forbidden(
        "capabilities kept", "capabilities: container notebook", put(f"{CONTEXT}.capabilities", {"drop": ["NET_RAW"]})
    ),
    Forbidden(
        "an init container with capabilities",
        "container beside has capabilities",
        beside(kind="initContainers", context={"capabilities": {}}),
    ),
    Forbidden("possibly root", "root: container notebook may run as root", put(f"{CONTEXT}.runAsNonRoot", value=False)),
    Forbidden(
        "no seccomp profile",
        "seccomp: container notebook is not confined",
        put(f"{CONTEXT}.seccompProfile.type", "Unconfined"),
    ),
    Forbidden(
        "no seccomp profile for the pod",
        "pod-confinement: it chooses its own",
        put("spec.securityContext.seccompProfile.type", "Unconfined"),
    ),
    Forbidden(
        "an unmasked /proc",
        "proc-mount: container notebook has an unmasked /proc",
        both(put("spec.hostUsers", value=False), put(f"{CONTEXT}.procMount", "Unmasked")),
    ),
    Forbidden(
        "no AppArmor profile",
        "confinement: container notebook chooses its own",
        put(f"{CONTEXT}.appArmorProfile", {"type": "Unconfined"}),
    ),
    Forbidden(
        "no AppArmor profile for the pod",
        "pod-confinement",
        put("spec.securityContext.appArmorProfile", {"type": "Unconfined"}),
    ),
    Forbidden(
        "SELinux options", "confinement: container notebook", put(f"{CONTEXT}.seLinuxOptions", {"type": "spc_t"})
    ),
    Forbidden(
        "the node's network",
        "host-namespaces: it is part of its node: hostNetwork",
        put("spec.hostNetwork", value=True),
    ),
    Forbidden("the node's processes", "it is part of its node: hostPID", put("spec.hostPID", value=True)),
    Forbidden("the node's shared memory", "it is part of its node: hostIPC", put("spec.hostIPC", value=True)),
    Forbidden(
        "a port of the node",
        "host-ports: container notebook listens on its node's address",
        put(f"{CONTAINER}.ports.0.hostPort", 8888),
    ),
    Forbidden(
        "a sysctl",
        "it changes settings of the kernel: net.ipv4.ip_unprivileged_port_start",
        put("spec.securityContext.sysctls", [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
    ),
    Forbidden(
        "a probe of another host",
        "probes: container notebook has a probe or a hook that asks another host",
        put(f"{CONTAINER}.livenessProbe", {"httpGet": {"host": "169.254.169.254", "port": 80}}),
    ),
    Forbidden(
        "a hook to another host",
        "probes: container notebook",
        put(f"{CONTAINER}.lifecycle", {"postStart": {"httpGet": {"host": "10.0.0.1", "port": 80}}}),
    ),
    Forbidden(
        "the hub's account",
        "service-account: it runs with service account hub",
        both(put("spec.serviceAccountName", "hub"), put("spec.serviceAccount", "hub")),
    ),
    Forbidden(
        "its account's token",
        "token: it mounts its account's token",
        put("spec.automountServiceAccountToken", value=True),
    ),
    Forbidden(
        "its account's token by saying nothing",
        "token: it mounts its account's token",
        lambda pod: pod["spec"].pop("automountServiceAccountToken"),
    ),
    Forbidden(
        "a projected token",
        "projected: it projects tokens or secrets into volumes: added",
        volume({"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}),
    ),
    Forbidden(
        "a projected Secret", "projected:", volume({"projected": {"sources": [{"secret": {"name": "hub-keys"}}]}})
    ),
    Forbidden(
        "a projected ConfigMap",
        "projected-config-maps: it projects ConfigMaps that are not planned into volumes: added",
        volume({"projected": {"sources": [{"configMap": {"name": "hub"}}]}}),
    ),
    Forbidden(
        "a mounted Secret",
        "secrets: it mounts Secrets that are not planned: hub-keys",
        volume({"secret": {"secretName": "hub-keys"}}),
    ),
    Forbidden(
        "a Secret in the environment",
        "foreign-secrets: container notebook",
        lambda pod: pod["spec"]["containers"][0]["env"].append(
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "hub-keys", "key": "x"}}}
        ),
    ),
    Forbidden(
        "a whole Secret in the environment",
        "foreign-secrets: container notebook",
        put(f"{CONTAINER}.envFrom", [{"secretRef": {"name": "hub-keys"}}]),
    ),
    Forbidden(
        "a mounted ConfigMap", "it mounts ConfigMaps that are not planned: hub", volume({"configMap": {"name": "hub"}})
    ),
    Forbidden(
        "a path of the node", "it mounts paths of its node that are not planned: /", volume({"hostPath": {"path": "/"}})
    ),
    Forbidden(
        "the container runtime's socket",
        "not planned: /run/containerd/containerd.sock",
        volume({"hostPath": {"path": "/run/containerd/containerd.sock", "type": "Socket"}}),
    ),
    Forbidden(
        "an NFS export",
        "volume-kinds: it has volumes of a kind that is not planned: added",
        volume({"nfs": {"server": "192.0.2.9", "path": "/tank/homes"}}),
    ),
    Forbidden("a volume of a driver", "volume-kinds:", volume({"csi": {"driver": "nfs.csi.k8s.io"}})),
    Forbidden(
        "a claim made with the pod",
        "volume-kinds:",
        volume(
            {
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
                    }
                }
            }
        ),
    ),
    Forbidden("a volume of an image", "volume-kinds:", volume({"image": {"reference": OTHER_IMAGE}})),
    Forbidden(
        "an image that is not planned",
        f"images: images that are not planned: {OTHER_IMAGE}",
        put(f"{CONTAINER}.image", OTHER_IMAGE),
    ),
    Forbidden(
        "a planned image by its tag",
        "images that are not planned: registry.invalid/notebook:1",
        put(f"{CONTAINER}.image", "registry.invalid/notebook:1"),
    ),
    Forbidden(
        "a sidecar that is not planned", f"images that are not planned: {OTHER_IMAGE}", beside(image=OTHER_IMAGE)
    ),
    Forbidden(
        "a registry's credentials",
        "it pulls with Secrets that are not planned: hub-keys",
        put("spec.imagePullSecrets", [{"name": "hub-keys"}]),
    ),
    Forbidden(
        "every GPU of the node",
        "gpus: container notebook says which GPUs it sees",
        lambda pod: pod["spec"]["containers"][0]["env"].append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}),
    ),
    Forbidden(
        "every GPU of the node by saying nothing",
        "gpus: container notebook",
        lambda pod: pod["spec"]["containers"][0].pop("env"),
    ),
    Forbidden("a node of its choice", "node: it names its node: gpu-1", put("spec.nodeName", "gpu-1")),
    Forbidden(
        "another scheduler",
        "scheduler: schedulerName is [mine], planned is [default-scheduler]",
        put("spec.schedulerName", "mine"),
    ),
    Forbidden(
        "another priority",
        "priority: priorityClassName is [system-cluster-critical]",
        put("spec.priorityClassName", "system-cluster-critical"),
    ),
    Forbidden(
        "a taint it has no business with",
        "it tolerates taints as nobody planned: node-role.kubernetes.io/control-plane|Exists||",
        lambda pod: pod["spec"]["tolerations"].append(
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}
        ),
    ),
    Forbidden(
        "every taint",
        "it tolerates taints as nobody planned: |Exists||",
        lambda pod: pod["spec"]["tolerations"].append({"operator": "Exists"}),
    ),
    Forbidden(
        "another runtime",
        "runtime: runtimeClassName is [tests-other], planned is []",
        put("spec.runtimeClassName", "tests-other"),
    ),
    Forbidden(
        "a device by claim",
        "devices: it claims devices that are not planned: gpu",
        put("spec.resourceClaims", [{"name": "gpu", "resourceClaimName": "gpu"}]),
    ),
    Forbidden(
        "the hub's label", "component: it is not labelled as a server", label("app.kubernetes.io/component", "hub")
    ),
    Forbidden("the proxy's older label", "component: it is not labelled as a server", label("component", "proxy")),
    Forbidden(
        "no server's label",
        "component: it is not labelled as a server",
        lambda pod: pod["metadata"]["labels"].pop("app.kubernetes.io/component"),
    ),
    Forbidden(
        "a label of this program's",
        "labels: it has labels that are not planned: lab.internal/stack",
        label("lab.internal/stack", "prod"),
    ),
    Forbidden(
        "a runtime's annotation",
        "annotations: it has annotations that are not planned: cdi.k8s.io/all",
        annotate("cdi.k8s.io/all", "nvidia.com/gpu=all"),
    ),
    Forbidden(
        "an owner",
        "owners: it has owners or finalizers: ReplicaSet hub",
        put(
            "metadata.ownerReferences",
            [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "hub", "uid": "1", "controller": True}],
        ),
    ),
    Forbidden(
        "a finalizer",
        "owners: it has owners or finalizers: lab.example.org/keep",
        put("metadata.finalizers", ["lab.example.org/keep"]),
    ),
)
"""Of every server."""

OF_FIXED_IDS = (
    Forbidden(
        "another user id",
        "container notebook runs as user 1001; servers run as 1000",
        put(f"{CONTEXT}.runAsUser", 1001),
    ),
    Forbidden(
        "another group id", "container notebook runs as group 0; servers run as 100", put(f"{CONTEXT}.runAsGroup", 0)
    ),
    Forbidden("a further group", "its groups are [5001]", put("spec.securityContext.supplementalGroups", [5001])),
    Forbidden("another group by fsGroup", "fsGroup 5001", put("spec.securityContext.fsGroup", 5001)),
    Forbidden(
        "another user's home",
        "it mounts home-bo, which is neither the home of ana nor planned",
        volume_named("home", "persistentVolumeClaim.claimName", "home-bo"),
    ),
    Forbidden(
        "another user's home under its slug",
        "it mounts home-bo---01234567",
        volume_named("home", "persistentVolumeClaim.claimName", "home-bo---01234567"),
    ),
    Forbidden(
        "a server without a home of its own",
        "it mounts unassigned-ana",
        volume_named("home", "persistentVolumeClaim.claimName", "unassigned-ana"),
    ),
)
"""Of servers that all run as one user, homes by user name."""

OF_CLAIMED_IDS = (
    Forbidden("root", "user-id-range: outside the ids of people, 1000 to 59999: 0", put(f"{CONTEXT}.runAsUser", 0)),
    Forbidden("a system's user id", "outside the ids of people, 1000 to 59999: 999", put(f"{CONTEXT}.runAsUser", 999)),
    Forbidden(
        "nobody's user id", "outside the ids of people, 1000 to 59999: 65534", put(f"{CONTEXT}.runAsUser", 65534)
    ),
    Forbidden(
        "a system's group id",
        "group-id-range: outside the ids of people, 1000 to 59999: 42",
        put(f"{CONTEXT}.runAsGroup", 42),
    ),
    Forbidden(
        "a system's group beside",
        "outside the ids of people, 1000 to 59999: 6",
        put("spec.securityContext.supplementalGroups", [6001, 6]),
    ),
    Forbidden("another home beside one's own", "it mounts more than one home", volume(claim("home-" + "0" * 32))),
    Forbidden(
        "no home's name",
        "it mounts home-bo, which is neither",
        volume_named("home", "persistentVolumeClaim.claimName", "home-bo"),
    ),
)
"""Of servers whose ids only a claim says, homes by account."""
