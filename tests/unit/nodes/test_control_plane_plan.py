"""The control plane's configuration: what kubeadm, the API server, haproxy and keepalived are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
import yaml

from components.networks import Networks
from components.nodes.api_server_plan import audit_policy, authentication_configuration
from components.nodes.config import NodesConfig
from components.nodes.control_plane_config import AuditLevel, OidcConfig
from components.nodes.control_plane_plan import (
    cluster_steps,
    control_plane_steps,
    kubeconfig_steps,
    load_balancer_steps,
)
from components.nodes.kubeadm_plan import CURRENT_VERSION, endpoint, join_configuration, kubeadm_configuration
from components.nodes.load_balancer_plan import haproxy_configuration, keepalived_configuration
from components.nodes.scheduler_plan import scheduler_path
from components.nodes.settings import ClusterSettings
from components.nodes.steps import Lifecycle, StepOutput
from components.secrets import SecretRef
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.model import Value

HARDWARE = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "200G"}
Document = dict[str, object]


def host(number: int, *roles: str, **more: object) -> Document:
    return {"address": f"192.0.2.{number}", "roles": roles or ("worker",), "hardware": HARDWARE, **more}


def three(**more: object) -> NodesConfig:
    """Three control-plane hosts behind an address, and a worker."""
    hosts = {f"cp-{index}": host(10 + index, "control-plane") for index in (1, 2, 3)}
    return NodesConfig.model_validate(
        {"hosts": {**hosts, "w-1": host(21)}, "endpoint": {"address": "192.0.2.10"}, **more}
    )


def one(**more: object) -> NodesConfig:
    return NodesConfig.model_validate({"hosts": {"cp-1": host(11, "control-plane"), "w-1": host(21)}, **more})


def settings() -> ClusterSettings:
    return ClusterSettings(
        name="lab",
        hosts=Networks.of("192.0.2.0/24"),
        pods=Networks.of("10.244.0.0/16"),
        services=Networks.of("10.96.0.0/16"),
        domain="cluster.local",
        pins=load_pins(EnvironmentName.TEST),
    )


def documents(text: str) -> dict[str, Document]:
    """Documents of a YAML text by their kind."""
    return {cast("str", document["kind"]): document for document in yaml.safe_load_all(text)}


def kubeadm(config: NodesConfig, name: str = "cp-1") -> dict[str, Document]:
    return documents(kubeadm_configuration(config, settings(), name))


def part(document: Mapping[str, object], *path: str) -> Document:
    for key in path:
        document = cast("Document", document[key])
    return cast("Document", document)


def arguments(document: Mapping[str, object], *path: str) -> dict[str, str]:
    """Extra arguments of a component by name."""
    listed = cast("list[dict[str, str]]", part(document, *path)["extraArgs"])
    return {argument["name"]: argument["value"] for argument in listed}


def test_every_document_kubeadm_reads_is_there_once() -> None:
    assert list(kubeadm(three())) == [
        "InitConfiguration",
        "ClusterConfiguration",
        "KubeletConfiguration",
        "KubeProxyConfiguration",
    ]


def test_the_cluster_is_described_the_same_on_every_host() -> None:
    described = {name: kubeadm(three(), name) for name in ("cp-1", "cp-2", "cp-3")}
    for kind in ("ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration"):
        assert described["cp-1"][kind] == described["cp-2"][kind] == described["cp-3"][kind]
    own = {name: part(found["InitConfiguration"], "localAPIEndpoint") for name, found in described.items()}
    assert {name: endpoint["advertiseAddress"] for name, endpoint in own.items()} == {
        "cp-1": "192.0.2.11",
        "cp-2": "192.0.2.12",
        "cp-3": "192.0.2.13",
    }


def test_the_version_is_left_for_the_script_because_an_upgrade_is_another_steps() -> None:
    cluster = kubeadm(three())["ClusterConfiguration"]
    assert cluster["kubernetesVersion"] == CURRENT_VERSION
    assert cluster["networking"] == {
        "podSubnet": "10.244.0.0/16",
        "serviceSubnet": "10.96.0.0/16",
        "dnsDomain": "cluster.local",
    }


@pytest.mark.parametrize(
    ("config", "address"),
    [
        (one(), "192.0.2.11:6443"),
        (three(), "192.0.2.10:6443"),
        (three(endpoint={"address": "192.0.2.10", "port": 443}), "192.0.2.10:443"),
        (three(endpoint={"address": "2001:db8::10"}), "[2001:db8::10]:6443"),
    ],
)
def test_the_endpoint_is_the_virtual_address_or_the_only_hosts(config: NodesConfig, address: str) -> None:
    assert endpoint(config) == address
    assert kubeadm(config)["ClusterConfiguration"]["controlPlaneEndpoint"] == address


def test_the_api_server_leaves_the_endpoints_address_to_the_load_balancer() -> None:
    behind = part(kubeadm(three())["ClusterConfiguration"], "apiServer")
    alone = part(kubeadm(one())["ClusterConfiguration"], "apiServer")
    assert arguments(behind)["bind-address"] == "$(HOST_IP)"
    address = {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}
    assert address in cast("list[Document]", behind["extraEnvs"])
    assert "bind-address" not in arguments(alone)
    assert address not in cast("list[Document]", alone["extraEnvs"])


SCHEDULER = {"apiVersion": "kubescheduler.config.k8s.io/v1", "profiles": ({"schedulerName": "packing"},)}


def scheduler_of(told: Mapping[str, Value] | None) -> Document:
    """Return kubeadm's part about the scheduler."""
    text = kubeadm_configuration(three(), replace(settings(), scheduler=told), "cp-1")
    return part(documents(text)["ClusterConfiguration"], "scheduler")


def test_a_scheduler_that_is_told_nothing_has_no_file() -> None:
    assert scheduler_of(None) == {"extraArgs": [{"name": "profiling", "value": "false"}]}
    steps = control_plane_steps(three(), settings())
    assert [step.values["SCHEDULER"] for step in steps] == ["", "", ""]


def test_the_scheduler_reads_its_file_and_elects_a_leader_by_its_own_flag() -> None:
    told = scheduler_of(SCHEDULER)
    given = {one["name"]: one["value"] for one in cast("list[dict[str, str]]", told["extraArgs"])}
    assert given == {"config": scheduler_path(SCHEDULER), "profiling": "false"}
    (volume,) = cast("list[dict[str, str]]", told["extraVolumes"])
    assert given["config"].startswith(f"{volume['mountPath']}/")
    (text,) = {
        cast("str", step.values["SCHEDULER"])
        for step in control_plane_steps(three(), replace(settings(), scheduler=SCHEDULER))
    }
    assert yaml.safe_load(text) == {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "profiles": [{"schedulerName": "packing"}],
        "clientConnection": {"kubeconfig": "/etc/kubernetes/scheduler.conf"},
    }


def test_another_configuration_is_another_file_so_that_the_former_pod_can_be_put_back() -> None:
    one, same, other = (scheduler_of({**SCHEDULER, "parallelism": parallelism}) for parallelism in (8, 8, 16))
    assert one == same
    assert one["extraArgs"] != other["extraArgs"]


def test_another_audit_policy_is_another_pod_because_it_is_only_read_at_the_start() -> None:
    pods = {
        level: part(kubeadm(one(controlPlane={"audit": level}))["ClusterConfiguration"], "apiServer")
        for level in ("metadata", "request")
    }
    assert arguments(pods["metadata"]) == arguments(pods["request"])
    assert pods["metadata"]["extraEnvs"] != pods["request"]["extraEnvs"]


@pytest.mark.parametrize(
    ("config", "ignored"),
    [
        (one(), []),
        (three(), ["Port-6443"]),
        (three(endpoint={"address": "192.0.2.10", "port": 443}), []),
        (one(controlPlane={"ignorePreflight": ["SystemVerification"]}), ["SystemVerification"]),
    ],
)
def test_only_named_checks_are_ignored_and_the_port_the_load_balancer_has(
    config: NodesConfig, ignored: list[str]
) -> None:
    assert part(kubeadm(config)["InitConfiguration"], "nodeRegistration")["ignorePreflightErrors"] == ignored


def test_nothing_profiles_and_no_token_opens_anything() -> None:
    cluster = kubeadm(three())["ClusterConfiguration"]
    for component in ("apiServer", "controllerManager", "scheduler"):
        assert arguments(cluster, component)["profiling"] == "false"
    assert arguments(cluster, "apiServer")["enable-bootstrap-token-auth"] == "false"


def test_encryption_is_asked_for_where_there_are_keys() -> None:
    keys = {"keys": [{"name": "one", "key": {"secret": "keyOne"}}]}
    plain = arguments(kubeadm(one())["ClusterConfiguration"], "apiServer")
    sealed = arguments(kubeadm(one(controlPlane={"encryption": keys}))["ClusterConfiguration"], "apiServer")
    assert "encryption-provider-config" not in plain
    assert sealed["encryption-provider-config"] == "/etc/research-compute/api-server/encryption.yaml"
    assert sealed["encryption-provider-config-automatic-reload"] == "true"


def test_an_audit_log_has_a_policy_a_folder_and_an_end() -> None:
    server = part(kubeadm(one())["ClusterConfiguration"], "apiServer")
    assert {name for name in arguments(server) if name.startswith("audit-")} == {
        "audit-policy-file",
        "audit-log-path",
        "audit-log-maxage",
        "audit-log-maxbackup",
        "audit-log-maxsize",
    }
    folders = {volume["hostPath"]: volume["readOnly"] for volume in cast("list[Document]", server["extraVolumes"])}
    assert folders == {"/etc/research-compute/api-server": True, "/var/log/kubernetes/audit": False}
    silent = part(kubeadm(one(controlPlane={"audit": "none"}))["ClusterConfiguration"], "apiServer")
    assert not {name for name in arguments(silent) if name.startswith("audit-")}


def test_etcd_is_tuned_in_its_own_units() -> None:
    tuned = one(controlPlane={"etcd": {"quota": "8Gi", "heartbeatMilliseconds": 200, "electionMilliseconds": 2500}})
    found = arguments(kubeadm(tuned)["ClusterConfiguration"], "etcd", "local")
    assert found["quota-backend-bytes"] == str(8 * 2**30)
    assert (found["heartbeat-interval"], found["election-timeout"]) == ("200", "2500")


def test_kube_proxys_settings_are_laid_over_its_mode() -> None:
    config = one(controlPlane={"kubeProxy": {"mode": "iptables", "settings": {"conntrack": {"min": 0}}}})
    found = kubeadm(config)["KubeProxyConfiguration"]
    assert (found["mode"], found["conntrack"]) == ("iptables", {"min": 0})


def test_a_worker_joins_with_its_taints_and_a_control_plane_host_with_its_address() -> None:
    config = NodesConfig.model_validate(
        {
            "hosts": {
                "cp-1": host(11, "control-plane", "worker"),
                "w-1": host(21, taints=({"key": "gpu", "value": "a100", "effect": "NoSchedule"},)),
            }
        }
    )
    worker = documents(join_configuration(config, "w-1", "/run/x"))["JoinConfiguration"]
    plane = documents(join_configuration(config, "cp-1", "/run/x"))["JoinConfiguration"]
    assert part(worker, "nodeRegistration")["taints"] == [{"key": "gpu", "value": "a100", "effect": "NoSchedule"}]
    assert "controlPlane" not in worker
    # An empty list, not none: kubeadm would otherwise reserve a host that is to work, too.
    assert part(plane, "nodeRegistration")["taints"] == []
    assert part(plane, "controlPlane", "localAPIEndpoint") == {"advertiseAddress": "192.0.2.11", "bindPort": 6443}
    assert worker["discovery"] == {"file": {"kubeConfigPath": "/run/x"}}


@pytest.mark.parametrize(
    ("level", "verb", "resource", "logged"),
    [
        (AuditLevel.METADATA, "create", "pods", "Metadata"),
        (AuditLevel.REQUEST, "create", "pods", "Request"),
        (AuditLevel.REQUEST, "get", "pods", "Metadata"),
        (AuditLevel.REQUEST, "create", "secrets", "Metadata"),
        (AuditLevel.REQUEST, "update", "configmaps", "Metadata"),
        (AuditLevel.METADATA, "create", "events", "None"),
    ],
)
def test_what_the_audit_log_keeps_of_a_users_request(level: AuditLevel, verb: str, resource: str, logged: str) -> None:
    rules = cast("list[Document]", documents(audit_policy(level))["Policy"]["rules"])

    def meets(rule: Document) -> bool:
        groups = cast("list[Document]", rule.get("resources", []))
        named = [name for group in groups if group["group"] == "" for name in cast("list[str]", group["resources"])]
        return (
            not {"users", "userGroups", "nonResourceURLs"} & rule.keys()
            and verb in cast("list[str]", rule.get("verbs", [verb]))
            and (not groups or resource in named)
        )

    assert next(rule["level"] for rule in rules if meets(rule)) == logged


def test_no_audit_no_policy() -> None:
    assert audit_policy(AuditLevel.NONE) == ""


def test_whoever_does_not_sign_in_sees_health_and_version_alone() -> None:
    found = documents(authentication_configuration(None))["AuthenticationConfiguration"]
    assert found["jwt"] == []
    assert found["anonymous"] == {
        "enabled": True,
        "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}, {"path": "/version"}],
    }


def test_names_of_the_identity_provider_never_are_kubernetes_own() -> None:
    oidc = OidcConfig.model_validate(
        {"issuerUrl": "https://id.example.org", "clientId": "kubernetes", "groupsClaim": "groups"}
    )
    found = documents(authentication_configuration(oidc))["AuthenticationConfiguration"]
    assert found["jwt"] == [
        {
            "issuer": {"url": "https://id.example.org", "audiences": ["kubernetes"]},
            "claimMappings": {
                "username": {"claim": "sub", "prefix": "oidc:"},
                "groups": {"claim": "groups", "prefix": "oidc:"},
            },
        }
    ]


def test_haproxy_is_the_same_everywhere_and_offers_every_api_server() -> None:
    config = three()
    assert config.endpoint is not None
    text = haproxy_configuration(config, config.endpoint)
    assert "    bind 192.0.2.10:6443\n" in text
    servers = [line.split()[1:] for line in text.splitlines() if line.strip().startswith("server ")]
    assert servers == [[f"cp-{index}", f"192.0.2.1{index}:6443"] for index in (1, 2, 3)]


def test_keepalived_prefers_no_host() -> None:
    config = three()
    assert config.endpoint is not None
    texts = {name: keepalived_configuration(config, config.endpoint, name) for name in ("cp-1", "cp-2", "cp-3")}
    own = {"cp-1": "192.0.2.11", "cp-2": "192.0.2.12", "cp-3": "192.0.2.13"}
    for name, text in texts.items():
        lines = [line.strip() for line in text.splitlines()]
        assert {"state BACKUP", "nopreempt", "priority 100", "192.0.2.10/32"} <= set(lines)
        peers = lines[lines.index("unicast_peer {") + 1 : lines.index("}", lines.index("unicast_peer {"))]
        assert peers == [address for other, address in own.items() if other != name]
        assert f"unicast_src_ip {own[name]}" in lines
    routers = {next(line for line in text.splitlines() if "virtual_router_id" in line) for text in texts.values()}
    assert len(routers) == 1


def test_the_virtual_router_has_a_number_vrrp_knows() -> None:
    for address in ("192.0.2.0", "192.0.2.254", "192.0.2.255", "2001:db8::ffff"):
        config = three(endpoint={"address": address})
        assert config.endpoint is not None
        text = keepalived_configuration(config, config.endpoint, "cp-1")
        number = next(int(line.split()[1]) for line in text.splitlines() if "virtual_router_id" in line)
        assert 1 <= number <= 255


def test_without_an_endpoint_there_is_no_load_balancer() -> None:
    assert load_balancer_steps(one()) == ()
    assert [step.host for step in load_balancer_steps(three())] == ["cp-1", "cp-2", "cp-3"]


def test_control_planes_are_configured_one_after_the_other() -> None:
    steps = control_plane_steps(three(), settings())
    waits = {step.host: [need for need in step.after if need[0] == "control-plane"] for step in steps}
    assert waits == {"cp-1": [], "cp-2": [("control-plane", "cp-1")], "cp-3": [("control-plane", "cp-2")]}


def test_a_key_reaches_the_script_by_its_place_and_never_the_planner() -> None:
    keys = {"keys": [{"name": "new", "key": {"secret": "keyTwo"}}, {"name": "old", "key": {"secret": "keyOne"}}]}
    (step,) = control_plane_steps(one(controlPlane={"encryption": keys}), settings())
    assert step.values["KEY_NAMES"] == ("new", "old")
    assert step.values["KEY_0"] == SecretRef(secret="keyTwo")
    assert step.values["KEY_1"] == SecretRef(secret="keyOne")


def test_the_cluster_begins_once_and_asks_every_control_plane_host_first() -> None:
    (step,) = cluster_steps(three(bootstrapHost="cp-2"), settings())
    assert (step.host, step.subject, step.lifecycle) == ("cp-2", None, Lifecycle.ONCE)
    assert step.values["HOSTS"] == ("cp-1", "cp-2", "cp-3")
    assert [step.values[f"HOLDS_CLUSTER_{index}"] for index in range(3)] == [
        StepOutput(step="request", host=f"cp-{index}", key="holds_cluster") for index in (1, 2, 3)
    ]


def test_a_kubeconfig_is_made_anew_with_every_renewal_and_is_a_secret() -> None:
    (first,) = kubeconfig_steps(three(), settings())
    (renewed,) = kubeconfig_steps(three(certificates={"renewal": 1}), settings())
    assert (first.resource, renewed.resource) == ("kubeconfig-0", "kubeconfig-1")
    assert first.output_is_secret
