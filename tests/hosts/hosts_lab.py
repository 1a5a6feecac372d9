"""A whole lab on the bed: a copy of the project with a stack file for real hosts, driven by labctl from outside."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from bed import Bed, Host
from bed_bundle import PROBE
from cluster_api import Object, eventually
from lab_copy import Ended, LabCopy, copy_project, ended

from components.pins import Pins
from labctl.bundle.mirror import Mirror
from labctl.control_plane import obtain_tool
from labctl.engine.state import SecretsManager
from labctl.engine.state.passphrase import Passphrase
from labctl.engine.state.stack_file import write_salt
from stacks.environments import EnvironmentName

ENVIRONMENT = EnvironmentName.TEST
"""One whose nodes are not destroyed unless that is named."""
STACK = f"{ENVIRONMENT}-bed"
PASSPHRASE = "bed"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
PATIENCE_SECONDS = 560
"""For one command: a control plane of three is brought up in it, on a busy machine."""
SETTLING_SECONDS = 300
"""For what follows by itself within seconds where nothing else runs: pods that become ready, nodes, rules of
kube-proxy."""
KUBELET = {
    "failCgroupV1": False,
    "fileCheckFrequency": "2s",
    "failSwapOn": False,
    "evictionHard": {"memory.available": "50Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"},
    "imageGCHighThresholdPercent": 100,
}
"""What this machine needs: cgroup v1, and a disk that other things fill."""
PROXY = {"conntrack": {"maxPerCore": 0, "min": 0}}
"""A network namespace may not change the machine's connection tracking."""

DOOR = 30080
"""Port of every node at which the web server answers."""
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
        - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway,
           labelSelector: {{matchLabels: {{app: web}}}}}}
      containers:
        - {{name: web, image: "{PROBE}", args: [serve], ports: [{{containerPort: 8080}}],
           readinessProbe: {{httpGet: {{port: 8080, path: /}}, periodSeconds: 1}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: web}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: NodePort, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080, nodePort: {DOOR}}}]}}
"""
"""A web server of two pods, of which one is always there."""

Nodes = dict[str, object]


@dataclass(frozen=True)
class HostsLab:
    """A lab on real hosts."""

    copy: LabCopy
    bed: Bed
    mirror: Mirror
    nodes: Nodes
    """The nodes section of its stack file, to be changed and written."""
    pins: Pins
    sections: dict[str, object] = field(default_factory=dict[str, object])
    """Further sections of its stack file, to be changed and written."""
    manager: SecretsManager = field(default_factory=lambda: SecretsManager(None, (Passphrase("the test", PASSPHRASE),)))
    """Seals its secrets; one salt for the lab's life."""

    @property
    def hosts(self) -> dict[str, dict[str, object]]:
        """Return ``nodes.hosts``, to be changed."""
        return self.nodes["hosts"]  # type: ignore[return-value] - made below

    def entry(self, host: Host, *roles: str) -> dict[str, object]:
        """Return what the stack file says of a host."""
        return {
            "address": host.address,
            "roles": list(roles),
            "hostKey": host.host_key,
            "hardware": {"cpus": 2, "memory": "8Gi", "ephemeralStorage": "10G"},
        }

    def machine(self, name: str) -> Host:
        """Return the real host behind a name."""
        return next(host for host in self.bed.hosts if host.name == name)

    @property
    def ssh(self) -> dict[str, object]:
        """Return how its hosts are reached."""
        return {
            "user": "ubuntu",
            "privateKey": {"secret": "sshPrivateKey"},
            "connectAttempts": 3,
            "connectTimeout": "5s",
        }

    def write(self) -> None:
        """Write the stack file, secrets sealed."""
        config: dict[str, object] = {
            "research-compute:cluster": {
                "name": "bed",
                "domain": "bed.example.org",
                "contact": "cluster@bed.example.org",
                "nodes": self.nodes,
                "network": {"hosts": f"{self.bed.address.rpartition('.')[0]}.0/24", "pods": PODS, "services": SERVICES},
                **self.sections,
            }
        }
        for name, value in self.secrets().items():
            config[f"research-compute:{name}"] = {"secure": self.manager.encrypt(value)}
        self.copy.file.write_text(yaml.safe_dump({"config": config}, sort_keys=False), encoding="utf-8")
        write_salt(self.copy.file, self.manager.salt or "")

    def secrets(self) -> Mapping[str, str]:
        """Return every secret the stack may name."""
        keys = {f"etcdKey{index}": base64.b64encode(bytes([index]) * 32).decode() for index in range(3)}
        return {
            "sshPrivateKey": Path(self.bed.access.key).read_text(encoding="utf-8"),
            "backupPassword": "correct horse",
            "sudoPassword": "no such word",
            **keys,
        }

    def run(self, *arguments: str) -> Ended:
        """Run labctl to its end."""
        return ended(self.copy.start(*arguments), PATIENCE_SECONDS)

    def up(self, *arguments: str) -> Ended:
        """Write the stack file and bring the lab up, which must succeed."""
        self.write()
        result = self.run("up", "--yes", *arguments)
        assert result.code == 0, f"labctl up ended with {result.code}:\n{result.text[-8000:]}"
        return result

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl as the lab's administrator, from outside, and return what it says."""
        ended_ = subprocess.run(
            [*self._kubectl(), *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * SETTLING_SECONDS,
        )
        assert ended_.returncode == 0, ended_.stderr
        return ended_.stdout

    def get(self, *arguments: str) -> Object:
        """Return what ``kubectl get`` finds."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def kubeconfig(self) -> Path:
        """Return a file with the administrator's kubeconfig, out of the state."""
        path = self.copy.root / ".lab" / "kubeconfig"
        resources = self.copy.deployment()["resources"]
        (sealed,) = (item["outputs"]["kubeconfig"] for item in resources if item["urn"].endswith("kubernetes::cluster"))
        path.write_text(json.loads(self.manager.decrypt(sealed["ciphertext"])), encoding="utf-8")
        path.chmod(0o600)
        return path

    def _kubectl(self) -> list[str]:
        """Return kubectl with the lab's kubeconfig: the control plane's own, which the bundle was made with."""
        return [str(obtain_tool("kubectl")), "--kubeconfig", str(self.kubeconfig())]


def lab_on(bed: Bed, mirror: Mirror, pins: Pins, folder: Path, roles: Mapping[str, Sequence[str]]) -> HostsLab:
    """Return a lab whose hosts are the bed's, with these roles, and whose downloads all come from the mirror."""
    # helm speaks to the API server itself, and to nothing else.
    own = f"{bed.address.rpartition('.')[0]}.0/24"
    environment = {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "NO_PROXY": f"127.0.0.1,localhost,{own}"}
    copied = copy_project(folder)
    copy = LabCopy(copied.root, STACK, environment)
    (folder / "stacks" / "pins" / f"{ENVIRONMENT}.yaml").write_text(
        yaml.safe_dump(pins.model_dump(mode="json", by_alias=True, exclude_none=True), sort_keys=False),
        encoding="utf-8",
    )
    nodes: Nodes = {
        "system": {"securityUpdates": "manual"},
        "upgrade": {"drainTimeout": "45s"},
        "kubelet": {"settings": KUBELET},
        "controlPlane": {"kubeProxy": {"settings": PROXY}, "ignorePreflight": ["SystemVerification"]},
        "mirror": {"url": mirror.url, "aptKey": (mirror.folder / "apt" / "key.asc").read_text(encoding="utf-8")},
        "hosts": {},
    }
    if sum("control-plane" in own for own in roles.values()) > 1:
        nodes["endpoint"] = {"address": bed.virtual_address}
    lab = HostsLab(copy, bed, mirror, nodes, pins)
    lab.nodes["ssh"] = lab.ssh
    lab.hosts.update({host.name: lab.entry(host, *roles[host.name]) for host in bed.hosts if host.name in roles})
    return lab


def connect_pods(lab: HostsLab) -> None:
    """Give pods a network: a bridge on every host and a route to every other (what Calico does in a real lab)."""
    nodes = [
        (item["metadata"]["name"], item["spec"]["podCIDR"], item["status"]["addresses"][0]["address"])
        for item in lab.get("nodes")["items"]
    ]
    for name, network, _ in nodes:
        routes = "".join(f"ip route replace {other} via {via}\n" for far, other, via in nodes if far != name)
        configuration = json.dumps(
            {
                "cniVersion": "1.0.0",
                "name": "bed",
                "plugins": [
                    {
                        "type": "bridge",
                        "bridge": "cni0",
                        "isGateway": True,
                        "hairpinMode": True,
                        "ipam": {
                            "type": "host-local",
                            "ranges": [[{"subnet": network}]],
                            "routes": [{"dst": "0.0.0.0/0"}],
                        },
                    },
                    {"type": "portmap", "capabilities": {"portMappings": True}},
                ],
            }
        )
        script = (
            f"mkdir -p /etc/cni/net.d\ncat > /etc/cni/net.d/10-bed.conflist <<'END'\n{configuration}\nEND\n{routes}"
        )
        lab.machine(name).run("bash -s", sudo=True, text=script, check=True)


def wait_for_nodes(lab: HostsLab, count: int) -> None:
    """Return when so many nodes are there and all of them are Ready."""
    eventually(lambda: len(lab.get("nodes")["items"]) == count, SETTLING_SECONDS)
    lab.kubectl("wait", "nodes", "--all", "--for=condition=Ready", f"--timeout={SETTLING_SECONDS}s")


def reaches(address: str, port: int) -> bool:
    """Return whether something accepts a connection there."""
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except OSError:
        return False


def rolled_out(lab: HostsLab, name: str, namespace: str = "default") -> None:
    """Return when a deployment has all its pods, ready."""
    wanted = ("rollout", "status", f"deployment/{name}", f"--namespace={namespace}")
    lab.kubectl(*wanted, f"--timeout={SETTLING_SECONDS}s")


def wait_for_names(lab: HostsLab) -> None:
    """Return when names are answered: CoreDNS waits for the pod network, and kubeadm does not wait for CoreDNS."""
    rolled_out(lab, "coredns", "kube-system")


def serve_web(lab: HostsLab) -> None:
    """Have the web server of `WEB` run, and its name answered."""
    lab.kubectl("apply", "-f", "-", text=WEB)
    wait_for_names(lab)
    rolled_out(lab, "web")
    # Every node's kube-proxy learns of the Service by itself, and on a busy machine after the pods are ready.
    for item in lab.get("nodes")["items"]:
        address = item["status"]["addresses"][0]["address"]
        eventually(lambda address=address: reaches(address, DOOR), SETTLING_SECONDS)
