"""The lab's table of flows: who reaches whom, at which port, and why; and how each row is judged.

A row is judged twice: by the network policies of the cluster, and, where it ends at a host, by the hosts' firewalls. It
passes only if nothing stops it. Pods carry the labels that charts and KubeSpawner give them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address

from nft_rules import Packet, accepts

from components.network.facts import network_facts
from components.nodes.config import NodesConfig, Role
from components.nodes.firewall_plan import firewall_rules
from components.nodes.host_system_config import FirewallConfig
from components.nodes.plan import members
from labctl.network_policies.model import Endpoint, Outside, Pod, Protocol
from labctl.network_policies.verdicts import Cluster, Connection, Verdict, verdict
from stacks.config import ClusterConfig, cluster_settings
from stacks.environments import environment_of
from stacks.loading import load_cluster, load_stack_file, stack_file_path
from stacks.pins import load_pins

YES, NO = True, False
BOTH = ("dev", "prod")
PROD, DEV = ("prod",), ("dev",)
"""Stacks a row is true of."""

NAME, PART, MANAGER = "app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/managed-by"


@dataclass(frozen=True)
class LabFlow:
    """One row."""

    source: str
    target: str
    port: int
    passes: bool
    why: str
    protocol: Protocol = Protocol.TCP
    stacks: tuple[str, ...] = BOTH

    def __str__(self) -> str:
        return f"{self.source} to {self.target} {self.port}"


LAB_FLOWS = (
    # The way in.
    LabFlow("a user", "the gateway", 10443, YES, "people come in by HTTPS"),
    LabFlow("a user", "the gateway", 10080, YES, "and are sent from HTTP to HTTPS; ACME servers ask here"),
    LabFlow("a user", "the hub's proxy", 8000, NO, "nobody goes past the gateway"),
    LabFlow("a user", "the hub", 8081, NO, "nor past the proxy"),
    LabFlow("a user", "Ada's notebook", 8888, NO, "nor straight to a server"),
    LabFlow("the gateway", "the hub's proxy", 8000, YES, "the hub is published"),
    LabFlow("the gateway", "the hub's proxy", 8001, NO, "the proxy takes routes from the hub alone"),
    LabFlow("the gateway", "the hub", 8081, NO, "only through the proxy"),
    LabFlow("the gateway", "Ada's notebook", 8888, NO, "only through the proxy"),
    LabFlow("the gateway", "the gateway's controller", 18000, YES, "proxies get their configuration"),
    LabFlow("the gateway", "the API server", 443, NO, "proxies read nothing there"),
    LabFlow("the gateway", "a web site", 443, NO, "proxies call nobody outside"),
    # The hub.
    LabFlow("the hub's proxy", "Ada's notebook", 8888, YES, "each user is handed on to their own server"),
    LabFlow("the hub's proxy", "the hub", 8081, YES, "whoever has no server yet"),
    LabFlow("the hub's proxy", "the API server", 443, NO, "routes come from the hub"),
    LabFlow("the hub's proxy", "a web site", 443, NO, "it serves the lab alone"),
    LabFlow("the hub", "the hub's proxy", 8001, YES, "the hub tells it where servers are"),
    LabFlow("the hub", "Ada's notebook", 8888, YES, "the hub looks whether a server answers"),
    LabFlow("the hub", "the API server", 443, YES, "the hub starts and stops servers"),
    LabFlow("the hub", "a control-plane host", 6443, YES, "the same, after kube-proxy's translation"),
    LabFlow("the hub", "the identity provider", 443, YES, "sign-ins are redeemed", stacks=PROD),
    LabFlow("the hub", "the identity provider", 443, NO, "the dummy sign-in has no provider", stacks=DEV),
    LabFlow("the hub", "the identity provider", 80, NO, "never in the clear"),
    LabFlow("the hub", "a metadata service", 80, NO, "machines' secrets are not the hub's"),
    LabFlow("the hub", "a BMC", 443, NO, "management is not the cluster's"),
    LabFlow("the hub", "the storage host", 2049, NO, "the kubelet mounts, pods never speak NFS"),
    LabFlow("the image puller", "the API server", 443, YES, "a release waits until images are everywhere"),
    # Notebooks.
    LabFlow("Ada's notebook", "the hub", 8081, YES, "a server asks the hub who knocks"),
    LabFlow("Ada's notebook", "Grace's notebook", 8888, NO, "other people's servers are theirs"),
    LabFlow("Ada's notebook", "Grace's notebook", 22, NO, "at any port"),
    LabFlow("Ada's notebook", "the hub's proxy", 8000, NO, "a server has nothing to ask the proxy"),
    LabFlow("Ada's notebook", "the hub's proxy", 8001, NO, "least of all where routes are made"),
    LabFlow("Ada's notebook", "the API server", 443, NO, "a notebook has no business there"),
    LabFlow("Ada's notebook", "a control-plane host", 6443, NO, "under its other address neither"),
    LabFlow("Ada's notebook", "a web site", 443, YES, "packages, data"),
    LabFlow("Ada's notebook", "a web site", 80, YES, "packages, data"),
    LabFlow("Ada's notebook", "a web site", 22, YES, "git"),
    LabFlow("Ada's notebook", "a web site", 25, NO, "nobody sends mail from a notebook"),
    LabFlow("Ada's notebook", "a web site", 443, NO, "no UDP outside: QUIC falls back to TCP", Protocol.UDP),
    LabFlow("Ada's notebook", "a name server outside", 53, NO, "names are looked up in the cluster", Protocol.UDP),
    LabFlow("Ada's notebook", "the licence server", 27000, YES, "`hub.network.allow` opens it", stacks=PROD),
    LabFlow("Ada's notebook", "the licence server", 27000, NO, "nothing opens it here", stacks=DEV),
    LabFlow("Ada's notebook", "the licence server", 3389, NO, "and no other port of it"),
    LabFlow("Ada's notebook", "the storage host", 2049, NO, "the kubelet mounts, pods never speak NFS"),
    LabFlow("Ada's notebook", "the storage host", 22, NO, "hosts are not the users'"),
    LabFlow("Ada's notebook", "another node", 22, NO, "hosts are not the users'"),
    LabFlow("Ada's notebook", "another node", 10250, NO, "kubelets neither"),
    LabFlow("Ada's notebook", "its own node", 22, NO, "which no policy can forbid: the firewall does"),
    LabFlow("Ada's notebook", "its own node", 10250, NO, "the same"),
    LabFlow("Ada's notebook", "a control-plane host", 2379, NO, "everything is in etcd"),
    LabFlow("Ada's notebook", "a metadata service", 80, NO, "machines' secrets are not the users'"),
    LabFlow("Ada's notebook", "a BMC", 443, NO, "management is not the users'"),
    LabFlow("Ada's notebook", "the load balancer's address", 443, NO, "nothing of the hosts' network, untranslated"),
    LabFlow("Ada's notebook", "cert-manager's webhook", 10250, NO, "webhooks are the API server's"),
    LabFlow("its own node", "Ada's notebook", 8888, YES, "the kubelet's probes; no policy could forbid it"),
    LabFlow("a pod of somebody else's", "Ada's notebook", 8888, NO, "other namespaces are closed out"),
    LabFlow("a pod of somebody else's", "the hub", 8081, NO, "other namespaces are closed out"),
    # Names.
    LabFlow("Ada's notebook", "the cluster's DNS", 53, YES, "every name is looked up there", Protocol.UDP),
    LabFlow("Ada's notebook", "the cluster's DNS", 53, YES, "long answers come over TCP"),
    LabFlow("the hub", "the cluster's DNS", 53, YES, "every name is looked up there", Protocol.UDP),
    LabFlow("the hub's proxy", "the cluster's DNS", 53, YES, "every name is looked up there", Protocol.UDP),
    LabFlow("the gateway", "the cluster's DNS", 53, YES, "every name is looked up there", Protocol.UDP),
    LabFlow("cert-manager", "the cluster's DNS", 53, YES, "every name is looked up there", Protocol.UDP),
    LabFlow("the GPU operator", "the cluster's DNS", 53, YES, "every name is looked up there", Protocol.UDP),
    # Certificates.
    LabFlow("cert-manager", "the API server", 443, YES, "certificates are objects there"),
    LabFlow("cert-manager", "the ACME server", 443, YES, "certificates are ordered", stacks=PROD),
    LabFlow("cert-manager", "the ACME server", 443, NO, "here they are made in the cluster", stacks=DEV),
    LabFlow("the gateway", "the ACME solver", 8089, YES, "the answer to a challenge is fetched", stacks=PROD),
    LabFlow("the gateway", "the ACME solver", 8089, NO, "there are no challenges here", stacks=DEV),
    LabFlow("cert-manager", "the gateway", 10080, YES, "it looks at its own answer first", stacks=PROD),
    LabFlow("the ACME solver", "a web site", 443, NO, "it answers, and asks nobody"),
    LabFlow("a control-plane host", "cert-manager's webhook", 10250, YES, "issuers are checked before they are stored"),
    LabFlow("cert-manager", "a BMC", 443, NO, "management is not the cluster's"),
    # Load balancer, GPUs.
    LabFlow("the load balancer", "the API server", 443, YES, "it watches Services"),
    LabFlow("the load balancer", "a web site", 443, NO, "it asks nobody else"),
    LabFlow("a control-plane host", "the load balancer", 9443, YES, "pools are checked before they are stored"),
    LabFlow("a user", "the load balancer", 7472, NO, "its metrics are not for everybody"),
    LabFlow("the GPU operator", "the API server", 443, YES, "it labels nodes"),
    LabFlow("the GPU operator", "a web site", 443, NO, "only drivers are built from packages"),
    LabFlow("a GPU driver", "a web site", 443, YES, "kernel headers come from mirrors"),
    LabFlow("a GPU driver", "a BMC", 443, NO, "management is not the cluster's"),
    # Hosts among themselves.
    LabFlow("another node", "the storage host", 2049, YES, "nodes mount for their pods"),
    LabFlow("a user", "the storage host", 2049, NO, "users never speak NFS"),
    LabFlow("a user", "another node", 22, NO, "users reach services, not hosts"),
    LabFlow("another node", "its own node", 4789, YES, "pods' packets between hosts", Protocol.UDP),
    LabFlow("another node", "a control-plane host", 6443, YES, "kubelets"),
    LabFlow("a control-plane host", "another node", 10250, YES, "logs and exec"),
)


class LabWorld:
    """The ends of the table in one stack, and the judges.

    Parameters
    ----------
    stack
        Name of the stack.
    """

    def __init__(self, stack: str) -> None:
        self.stack = stack
        self.config: ClusterConfig = load_cluster(load_stack_file(stack_file_path(stack)))
        assert self.config.network is not None
        self.facts = network_facts(self.config.network, stack)
        nodes = members(self.config.nodes)
        workers = [name for name, host in nodes.items() if Role.WORKER in host.roles]
        self._hosts = {
            "a control-plane host": next(name for name, host in nodes.items() if Role.CONTROL_PLANE in host.roles),
            "its own node": workers[0],
            "another node": workers[1],
            "the storage host": next(
                name for name, host in self.config.nodes.hosts.items() if Role.STORAGE in host.roles
            ),
        }

    @property
    def flows(self) -> list[LabFlow]:
        """The rows that are true of this stack."""
        return [flow for flow in LAB_FLOWS if self.stack in flow.stacks]

    @cached_property
    def ends(self) -> dict[str, Endpoint]:
        """Every end of the table by its name."""
        outside = {
            "a user": "203.0.113.50",
            "a web site": "203.0.113.80",
            "a name server outside": "203.0.113.53",
            "the identity provider": "203.0.113.90",
            "the ACME server": "203.0.113.91",
            "the licence server": "198.51.100.5",
            "a metadata service": "169.254.169.254",
            "a BMC": str(self.facts.management[0][9]) if self.facts.management else "10.250.0.9",
            "the API server": str(self.facts.services.primary[1]),
            "the load balancer's address": str(self.facts.hosts.primary[200]),
        }
        hosts = {
            end: Outside(name=end, addresses=self.config.nodes.hosts[host].addresses, node=host)
            for end, host in self._hosts.items()
        }
        ends: dict[str, Endpoint] = {
            name: Outside(name=name, addresses=(ip_address(text),)) for name, text in outside.items()
        }
        return ends | hosts | self._pods()

    def _pods(self) -> dict[str, Endpoint]:
        hub, gateway = f"hub-{self.stack}", f"gateway-{self.stack}"
        server = {NAME: "jupyterhub", PART: "singleuser-server", MANAGER: "kubespawner", "app": "jupyterhub"}
        envoy = {NAME: "envoy", PART: "proxy", MANAGER: "envoy-gateway"}
        certificates, operator = f"cert-manager-{self.stack}", f"gpu-operator-{self.stack}"
        described: dict[str, tuple[str, Mapping[str, str]]] = {
            "Ada's notebook": (hub, server | {"hub.jupyter.org/username": "ada"}),
            "Grace's notebook": (hub, server | {"hub.jupyter.org/username": "grace"}),
            "the hub": (hub, {NAME: "jupyterhub", PART: "hub", "app": "jupyterhub", "component": "hub"}),
            "the hub's proxy": (hub, {NAME: "jupyterhub", PART: "proxy", "app": "jupyterhub", "component": "proxy"}),
            "the image puller": (hub, {NAME: "jupyterhub", PART: "image-puller"}),
            "the gateway": (gateway, envoy),
            "the gateway's controller": (gateway, {"control-plane": "envoy-gateway", NAME: "gateway-helm"}),
            "the ACME solver": (gateway, {"acme.cert-manager.io/http01-solver": "true"}),
            "cert-manager": (certificates, {NAME: "cert-manager", PART: "controller"}),
            "cert-manager's webhook": (certificates, {NAME: "webhook", PART: "webhook"}),
            "the load balancer": (f"metallb-{self.stack}", {NAME: "metallb", PART: "controller"}),
            "the GPU operator": (operator, {NAME: "gpu-operator", PART: "gpu-operator"}),
            "a GPU driver": (operator, {PART: "nvidia-driver", "app": "nvidia-driver-daemonset"}),
            "the cluster's DNS": ("kube-system", {"k8s-app": "kube-dns"}),
            "a pod of somebody else's": ("somebody", {}),
        }
        own = self._hosts["its own node"]
        return {
            name: Pod(
                name=name,
                namespace=namespace,
                labels=labels,
                addresses=(self.facts.pods.primary[256 + number],),
                node=own if name == "Ada's notebook" else "elsewhere",
            )
            for number, (name, (namespace, labels)) in enumerate(described.items())
        }

    def policies_say(self, flow: LabFlow, cluster: Cluster) -> Verdict:
        """Return what the policies say of a row."""
        source, target = self.ends[flow.source], self.ends[flow.target]
        connection = Connection(source=source, destination=target, port=flow.port, protocol=flow.protocol)
        return verdict(cluster, connection)

    def firewalls_say(self, flow: LabFlow) -> bool | None:
        """Return what the firewalls of the hosts say of a row that ends at a host; None of any other."""
        source, target = self.ends[flow.source], self.ends[flow.target]
        if flow.target not in self._hosts:
            return None
        sent = Packet(
            source=source.addresses[0],
            destination=target.addresses[0],
            protocol=flow.protocol.lower(),
            port=flow.port,
        )
        if not isinstance(source, Pod) or source.node == target.node:
            return accepts(self._rules[self._hosts[flow.target]], sent)
        # Through its own host first, and then, after the CNI's translation, as if it were that host.
        own = self.ends["its own node"]
        arriving = Packet(source=own.addresses[0], destination=sent.destination, protocol=sent.protocol, port=sent.port)
        through = accepts(self._rules[self._hosts["its own node"]], sent, "forward")
        return through and accepts(self._rules[self._hosts[flow.target]], arriving)

    @cached_property
    def _rules(self) -> dict[str, str]:
        """The rules of each host of the table; a stack that asks for none is judged as if it did."""
        nodes: NodesConfig = self.config.nodes
        if nodes.system.firewall is None:
            firewall = FirewallConfig.model_validate({"ssh": ["198.51.100.64/28"]})
            nodes = nodes.model_copy(update={"system": nodes.system.model_copy(update={"firewall": firewall})})
        settings = cluster_settings(self.config, load_pins(environment_of(self.stack).name))
        assert settings is not None
        found = {host: firewall_rules(nodes, nodes.hosts[host], settings) for host in self._hosts.values()}
        return {host: rules for host, rules in found.items() if rules is not None}

    def wrong(self, cluster: Cluster) -> list[str]:
        """Return the rows that are not true, each with what it follows from."""
        found: list[str] = []
        for flow in self.flows:
            said, passed = self.policies_say(flow, cluster), self.firewalls_say(flow)
            if (said.allowed and passed is not False) != flow.passes:
                found.append(
                    f"{flow}: policies {said.allowed} ({said.why}), firewalls {passed}; expected {flow.passes}"
                )
        return found
