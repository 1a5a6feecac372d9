"""A real enforcer of network policies on the hosts of a lab: kube-network-policies, as a process on every node.

It judges the first packet of every connection in user space, where the kernel's queue brings it. Upstream it brings
packets there by a rule of nftables (`queue`), which this machine's kernel was built without; iptables has the same
target, so the rules are laid here.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

from bed import Host
from cluster_api import eventually
from hosts_lab import HostsLab

__all__ = ["enforce_policies"]

QUEUE = 100
"""Number of the queue in the kernel (kube-network-policies, ``nfqueue-id``)."""
ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: enforcer, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: enforcer}
rules:
  - {apiGroups: [""], resources: [pods, namespaces, nodes], verbs: [list, watch]}
  - {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [list, watch]}
  - {apiGroups: ["", events.k8s.io], resources: [events], verbs: [create, patch, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: enforcer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: enforcer}
subjects: [{kind: ServiceAccount, name: enforcer, namespace: kube-system}]
"""
UNIT = "policy-enforcer"
PROGRAM = "/usr/local/bin/kube-network-policies"
CREDENTIALS = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod has its account, and so where the program looks for one."""


def enforce_policies(lab: HostsLab, program: Path) -> None:
    """Have every node of the lab enforce the cluster's network policies, from the next connection on."""
    lab.kubectl("apply", "-f", "-", text=ACCOUNT)
    token = lab.kubectl("-n", "kube-system", "create", "token", "enforcer", "--duration", "4h").strip()
    configuration = json.loads(lab.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
    cluster = configuration["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    address, _, port = cluster["server"].removeprefix("https://").partition(":")
    served = lab.mirror.folder / "files" / program.name
    shutil.copy(program, served)
    for node in lab.get("nodes")["items"]:
        host = lab.machine(node["metadata"]["name"])
        host.run(f"curl -fsS -o {PROGRAM} {lab.mirror.url}/files/{served.name}", sudo=True)
        _start(host, {"ca.crt": authority, "token": token}, (address, port))


def _start(host: Host, credentials: dict[str, str], server: tuple[str, str]) -> None:
    written = "\n".join(
        f"cat > {CREDENTIALS}/{name} <<'END'\n{text.strip()}\nEND" for name, text in credentials.items()
    )
    script = f"""set -e
mkdir -p {CREDENTIALS}
chmod 0700 {CREDENTIALS}
{written}
chmod 0755 {PROGRAM}
systemd-run --unit {UNIT} --setenv KUBERNETES_SERVICE_HOST={server[0]} --setenv KUBERNETES_SERVICE_PORT={server[1]} \\
    {PROGRAM} --hostname-override {host.name} --nfqueue-id {QUEUE} --metrics-bind-address 127.0.0.1:9080 --v 2
"""
    host.run("bash -s", sudo=True, text=script)
    # Nothing is sent there before somebody reads it: what is queued for nobody is dropped.
    eventually(lambda: f" {QUEUE} " in host.run("cat /proc/net/netfilter/nfnetlink_queue", sudo=True))
    # A node always reaches its own pods (the kubelet's probes); nobody else is excepted.
    host.run("iptables -t mangle -A POSTROUTING -m addrtype --src-type LOCAL -j RETURN", sudo=True)
    host.run(f"iptables -t mangle -A POSTROUTING -m conntrack --ctstate NEW -j NFQUEUE --queue-num {QUEUE}", sudo=True)
