"""Values of the hub's chart."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import pytest
from hub_labs import FACTS, IMAGES, hub, profile
from hypothesis import given
from hypothesis import strategies as st

from components.hub.errors import UnofferedSliceError
from components.hub.limits.plan import NOTICES
from components.hub.plan import hub_values
from components.hub.profiles.plan import byte_specification, page_text, profile_list
from components.hub.values import SECTIONS
from components.images import ImageReference
from components.quantities import Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts


def value(config: HubConfig, *path: str, facts: HubFacts = FACTS) -> object:
    """Return one place of the values."""
    found: object = hub_values(config, facts)
    for key in path:
        found = cast("Mapping[str, object]", found)[key]
    return found


def first_override(**changes: object) -> Mapping[str, object]:
    config = hub(profiles=[profile(**changes)])
    return cast("Mapping[str, object]", profile_list(config, FACTS)[0]["kubespawner_override"])


def test_every_section_is_there() -> None:
    assert tuple(hub_values(hub(), FACTS)) == SECTIONS


def test_profiles_in_kubespawners_terms() -> None:
    minimal, gpu = profile_list(hub(), FACTS)
    assert minimal == {
        "slug": "minimal",
        "display_name": "Minimal",
        "description": "Python only.",
        "default": True,
        "kubespawner_override": {
            "image": str(IMAGES["minimal-notebook"]),
            "cpu_guarantee": 0.1,
            "mem_guarantee": "512M",
            "default_url": "/lab",
            "extra_labels": {"lab.internal/network": "default"},
            "environment": {"NVIDIA_VISIBLE_DEVICES": "void"},
        },
    }
    assert gpu["kubespawner_override"] == {
        "image": str(IMAGES["pytorch-notebook"]),
        "cpu_guarantee": 2.0,
        "mem_guarantee": "1536M",
        "extra_resource_limits": {"nvidia.com/mig-1g.10gb": 1},
        "default_url": "/lab",
        "extra_labels": {"lab.internal/network": "default", "research-compute/holds-gpu": "true"},
        "node_affinity_required": [
            {
                "matchExpressions": [
                    {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-A100-80GB-PCIe"]}
                ]
            }
        ],
        "tolerations": [
            {"key": "hub.jupyter.org/dedicated", "operator": "Equal", "value": "user", "effect": "NoSchedule"},
            {"key": "hub.jupyter.org_dedicated", "operator": "Equal", "value": "user", "effect": "NoSchedule"},
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        ],
    }


def test_a_profile_on_one_gpu_model_selects_its_nodes() -> None:
    gpu = {"slice": "1g.10gb", "count": 2, "model": "A100-80GB-PCIe"}
    override = first_override(gpu=gpu)
    term = {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-A100-80GB-PCIe"]}
    assert override["node_affinity_required"] == [{"matchExpressions": [term]}]
    assert override["extra_resource_limits"] == {"nvidia.com/mig-1g.10gb": 2}


def test_a_shared_gpu_is_told_from_one_shared_otherwise() -> None:
    override = first_override(gpu={"slice": "whole.shared"})
    terms = [
        {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["Tesla-T4"]},
        {"key": "nvidia.com/gpu.sharing-strategy", "operator": "In", "values": ["time-slicing"]},
    ]
    assert override["node_affinity_required"] == [{"matchExpressions": terms}]


def test_a_strict_profile_has_its_limits() -> None:
    limit = {"cpu": "1500m", "memory": "2Gi"}
    override = first_override(resources={"guarantee": {"memory": "1Gi"}, "limit": limit})
    assert (override["cpu_limit"], override["mem_limit"], override["mem_guarantee"]) == (1.5, "2G", "1G")
    assert "cpu_guarantee" not in override


def test_an_unoffered_slice_fails_by_name() -> None:
    with pytest.raises(UnofferedSliceError, match=r"one asks for the GPU slice 7g\.80gb"):
        first_override(gpu={"slice": "7g.80gb"})


@given(st.integers(min_value=1, max_value=2**50))
def test_memory_is_never_less_than_asked_for(amount: int) -> None:
    text = byte_specification(Size(amount))
    units = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
    read = int(text[:-1]) * units[text[-1]]
    assert 0 <= read - amount < 2**10


@given(st.text())
def test_page_text_is_inert(text: str) -> None:
    shown = page_text(text)
    assert not set(shown) & set("<>{}\"'")


def test_nobody_gets_more_than_a_homes_owner_may() -> None:
    spawner = cast("Mapping[str, object]", value(hub(), "hub", "config", "KubeSpawner"))
    assert spawner["delete_pvc"] is False
    assert spawner["remember_pvc_name"] is False
    assert spawner["automount_service_account_token"] is False
    assert spawner["container_security_context"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 100,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert spawner["priority_class_name"] == "interactive-test"
    assert value(hub(), "hub", "config", "JupyterHub") == {
        "admin_access": False,
        "authenticator_class": "lab_hub.signin_oauth.LabAuth0",
    }


def test_homes_are_named_by_account_or_by_user_name_but_never_by_row() -> None:
    place = ("singleuser", "storage", "dynamic")
    assert value(hub(), *place) == {
        "storageClass": "homes-test",
        "storageAccessModes": ["ReadWriteMany"],
        "pvcNameTemplate": "unassigned-{safe_username}",
        "volumeNameTemplate": "home",
    }
    assert value(hub(), "custom", "lab", "home") == {
        "issuer": "lab.eu.auth0.com",
        "userInfo": "auth0_user",
        "claims": ["sub"],
    }
    by_name = hub(homes={"key": "username", "capacity": "10Gi"})
    assert cast("Mapping[str, object]", value(by_name, *place))["pvcNameTemplate"] == "home-{safe_username}"
    assert value(by_name, "custom", "lab", "home") is None


def test_the_hub_gets_our_package() -> None:
    mounted = cast("Mapping[str, Mapping[str, str]]", value(hub(), "hub", "extraFiles"))
    assert mounted["lab_hub.configure.py"]["mountPath"] == "/usr/local/etc/jupyterhub/lab_hub/configure.py"
    assert "def configure(" in mounted["lab_hub.configure.py"]["stringData"]
    assert "lab_hub.__init__.py" in mounted
    call = cast("Mapping[str, str]", value(hub(), "hub", "extraConfig"))["lab"]
    compile(call, "lab", "exec")
    by_group = hub(homes={"key": "username", "capacity": "10Gi"}, profiles=[profile(), profile(slug="b", groups=["x"])])
    assert value(by_group, "custom", "lab", "groups") == {"b": ["x"]}


def test_the_hub_asks_for_homes_where_somebody_makes_them() -> None:
    asking = dataclasses.replace(FACTS, home_requests="shared-home-requests")
    values = cast("Mapping[str, Mapping[str, object]]", hub_values(hub(), asking))
    assert values["hub"]["extraVolumes"] == [
        {"name": "home-requests", "persistentVolumeClaim": {"claimName": "shared-home-requests"}}
    ]
    assert values["hub"]["extraVolumeMounts"] == [{"name": "home-requests", "mountPath": "/srv/home-requests"}]
    settings = {"folder": "/srv/home-requests", "uid": 1000, "gid": 100, "timeoutSeconds": 30}
    assert value(hub(), "custom", "lab", "homeRequests", facts=asking) == settings
    others = hub_values(hub(), FACTS)
    assert not {"extraVolumes", "extraVolumeMounts"} & set(others["hub"])
    assert "homeRequests" not in cast("Mapping[str, object]", others["custom"]["lab"])


def test_shared_volumes_are_mounted_as_storage_says() -> None:
    volumes = cast("Mapping[str, object]", value(hub(), "singleuser", "storage", "extraVolumes"))
    assert {name: volume for name, volume in volumes.items() if name != NOTICES} == {
        "datasets": {
            "name": "shared-datasets",
            "persistentVolumeClaim": {"claimName": "shared-datasets", "readOnly": True},
        },
        "notebooks": {
            "name": "shared-notebooks",
            "persistentVolumeClaim": {"claimName": "shared-notebooks", "readOnly": False},
        },
    }
    mounts = cast("Mapping[str, object]", value(hub(), "singleuser", "storage", "extraVolumeMounts"))
    assert {name: mount for name, mount in mounts.items() if name != NOTICES} == {
        "datasets": {"name": "shared-datasets", "mountPath": "/shared/datasets", "readOnly": True},
        "notebooks": {"name": "shared-notebooks", "mountPath": "/shared/notebooks", "readOnly": False},
    }


def test_secrets_are_named_and_nowhere_written() -> None:
    assert value(hub(), "hub", "existingSecret") == "hub-keys"
    assert value(hub(), "hub", "extraEnv") == {
        "OAUTH_CLIENT_SECRET": {"valueFrom": {"secretKeyRef": {"name": "hub-client", "key": "client-secret"}}}
    }
    without = dataclasses.replace(FACTS, client_secret=None)
    assert "extraEnv" not in hub_values(hub(), without)["hub"]


def test_culling_in_seconds() -> None:
    culling = {"idle": "12h", "every": "10m", "maxAge": "7d"}
    found = cast("Mapping[str, object]", value(hub(culling=culling), "cull"))
    assert (found["timeout"], found["every"], found["maxAge"], found["users"]) == (43_200, 600, 604_800, False)
    assert cast("Mapping[str, object]", value(hub(), "cull"))["maxAge"] == 0


def test_the_chart_has_no_policies_of_its_own() -> None:
    for place in (("hub",), ("proxy", "chp"), ("singleuser",)):
        assert value(hub(), *place, "networkPolicy") == {"enabled": False}
    assert value(hub(), "singleuser", "cloudMetadata", "blockWithIptables") is False
    assert value(hub(), "proxy", "service") == {"type": "ClusterIP"}


def environment(facts: HubFacts, **access: object) -> Mapping[str, str]:
    (first, _) = profile_list(hub(network=access), facts)
    return cast("Mapping[str, Mapping[str, str]]", first["kubespawner_override"])["environment"]


def test_servers_are_told_of_the_web_proxy_and_of_what_needs_none() -> None:
    assert set(cast("Mapping[str, object]", value(hub(), "singleuser", "extraEnv"))) == {"JUPYTER_PATH"}
    access = {"internet": "proxy", "proxy": {"address": "192.0.2.30", "port": 3128}}
    facts = dataclasses.replace(FACTS, proxy_exceptions=("hub", ".svc", "10.96.0.0/16"))
    told = environment(facts, **access)
    assert told["HTTPS_PROXY"] == told["https_proxy"] == told["HTTP_PROXY"] == "http://192.0.2.30:3128"
    assert told["NO_PROXY"] == told["no_proxy"] == "hub,.svc,10.96.0.0/16"
    licences = {"name": "licences", "networks": ["198.51.100.0/28"], "ports": [27000]}
    assert environment(facts, **access, allow=[licences])["NO_PROXY"] == "hub,.svc,10.96.0.0/16,198.51.100.0/28"
    six = {"internet": "proxy", "proxy": {"address": "2001:db8::30", "port": 3128}}
    assert environment(FACTS, **six)["http_proxy"] == "http://[2001:db8::30]:3128"


def test_the_route_attaches_to_the_hubs_listener() -> None:
    assert value(hub(), "httpRoute") == {
        "enabled": True,
        "hostnames": ["hub.lab.org"],
        "gateway": {"name": "lab", "namespace": "gateway-test", "sectionName": "https-hub"},
    }
    assert value(hub(), "httpRoute", facts=dataclasses.replace(FACTS, route=None)) == {"enabled": False}


def test_nothing_is_pulled_where_nothing_runs() -> None:
    assert value(hub(), "prePuller", "hook") == value(hub(), "prePuller", "continuous") == {"enabled": True}
    simulated = dataclasses.replace(FACTS, is_simulated=True)
    assert value(hub(), "prePuller", "hook", facts=simulated) == {"enabled": False}
    assert value(hub(), "prePuller", "continuous", facts=simulated) == {"enabled": False}


def test_images_are_pinned_in_the_charts_two_halves() -> None:
    image = IMAGES["minimal-notebook"]
    found = cast("Mapping[str, str]", value(hub(), "singleuser", "image"))
    assert f"{found['name']}:{found['tag']}" == str(image)
    untagged = ImageReference.parse(f"{image.name}@{image.digest}")
    facts = dataclasses.replace(FACTS, images={**IMAGES, "minimal-notebook": untagged})
    found = cast("Mapping[str, str]", value(hub(), "singleuser", "image", facts=facts))
    assert f"{found['name']}:{found['tag']}" == str(untagged)


def test_the_charts_own_images_are_pinned_where_the_environment_pins_them() -> None:
    own = {
        name: ImageReference.parse(f"quay.io/jupyterhub/{name}:4.4.0@{IMAGES['minimal-notebook'].digest}")
        for name in ("k8s-hub", "configurable-http-proxy", "pause")
    }
    facts = dataclasses.replace(FACTS, images={**IMAGES, **own})
    values = hub_values(hub(), facts)
    assert values["hub"]["image"] == {"name": own["k8s-hub"].name, "tag": own["k8s-hub"].tag_and_digest}
    proxy = cast("Mapping[str, object]", values["proxy"]["chp"])
    assert proxy["image"] == {
        "name": own["configurable-http-proxy"].name,
        "tag": own["configurable-http-proxy"].tag_and_digest,
    }
    assert "resources" in proxy
    assert values["prePuller"]["hook"] == {"enabled": True}
    assert "image" not in hub_values(hub(), FACTS)["hub"]


def test_bounds_and_announcement() -> None:
    config = hub(servers={"startTimeout": "20m", "concurrentSpawns": 10, "most": 50}, announcement="Down <b>today</b>")
    assert value(config, "singleuser", "startTimeout") == 1200
    # Nobody is sent away: who comes beyond it waits in line.
    assert value(config, "hub", "concurrentSpawnLimit") == 0
    assert value(config, "custom", "lab", "spawning", "atOnce") == 10
    assert value(config, "hub", "activeServerLimit") == 50
    assert value(config, "hub", "templateVars", "announcement") == "Down &lt;b&gt;today&lt;/b&gt;"
    assert "activeServerLimit" not in hub_values(hub(), FACTS)["hub"]


def nulls(found: object, path: str = "") -> list[str]:
    if found is None:
        return [path]
    if isinstance(found, dict):
        known = cast("dict[str, object]", found)
        return [hit for key, inner in known.items() for hit in nulls(inner, f"{path}.{key}") if key != "home"]
    return []


def test_no_value_is_null() -> None:
    """The Release drops nulls unless told otherwise: a default meant to be switched off would come back."""
    values = hub_values(hub(homes={"key": "username", "capacity": "1Gi"}), FACTS)
    assert nulls(dict(values)) == []
