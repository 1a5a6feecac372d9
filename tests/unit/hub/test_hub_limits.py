"""Limits of the hub section: what is refused, and what they become in the hub's release."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pulumi
import pytest
from hub_labs import hub, profile
from pydantic import ValidationError

from components.gpu.reslice import record as reslice
from components.hub.files.lab_hub.culler import CullerSettings
from components.hub.files.lab_hub.limits import LimitsSettings, ProfileLimits
from components.hub.flows import HUB
from components.hub.limits import plan as limits
from components.hub.limits.checks import check_limits
from components.hub.limits.component import LabNotices, LabNoticesArgs, notice_files
from components.namespaces.flows import Direction, NetworkPeer, PodPeer, Port
from components.namespaces.plan import NAMESPACE_LABEL
from components.networks import Networks
from labctl.graph.program import Program
from labctl.graph.record import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.hub.config import HubConfig
    from components.model import Value

PROMETHEUS = {"address": "http://prometheus.monitoring:9090/", "namespace": "monitoring"}
GPU_CULLING = {"idle": "30m", "threshold": 3, "prometheus": PROMETHEUS}
GPU_PROFILE = profile(slug="gpu", default=False, gpu={"slice": "1g.10gb", "count": 2})
CHOICE = profile(
    slug="choice",
    default=False,
    walltime="4h",
    options={
        "gpu": [
            {"key": "none", "name": "None", "default": True},
            {"key": "one", "name": "One", "gpu": {"slice": "1g.10gb"}},
        ]
    },
)


def tree(value: object) -> Mapping[str, Value]:
    """Return a part of the values as a mapping."""
    return cast("Mapping[str, Value]", value)


def limited() -> HubConfig:
    """Return a section with every limit."""
    return hub(
        profiles=[profile(walltime="8h"), GPU_PROFILE, CHOICE],
        culling={"gpu": GPU_CULLING, "maxAge": "7d", "warnings": ["5m", "1h", "5m"]},
        limits={"perUser": {"servers": 2}, "groups": {"students": {"gpus": 8}}},
        servers={"named": 3},
    )


def test_the_steps_settings_are_what_the_hub_reads() -> None:
    settings = tree(limits.limits_part(limited()).settings["limits"])
    assert set(settings) == set(LimitsSettings.__annotations__)
    profiles = cast("Mapping[str, Mapping[str, Value]]", settings["profiles"])
    assert all(set(each) == set(ProfileLimits.__annotations__) for each in profiles.values())
    bare = tree(limits.limits_part(hub()).settings["limits"])
    assert bare == {
        "groups": {},
        "default": "minimal",
        "profiles": {"minimal": {"gpus": 0, "gpuChoices": {}}, "gpu-small": {"gpus": 1, "gpuChoices": {}}},
    }
    week = 7 * 86400
    assert settings == {
        "perUser": {"servers": 2},
        "groups": {"students": {"gpus": 8}},
        "default": "one",
        "profiles": {
            "one": {"gpus": 0, "gpuChoices": {}, "walltimeSeconds": 8 * 3600},
            # Without a walltime of its own, what ends every server ends it, and is announced as well.
            "gpu": {"gpus": 2, "gpuChoices": {}, "walltimeSeconds": week},
            "choice": {"gpus": 0, "gpuChoices": {"none": 0, "one": 1}, "walltimeSeconds": 4 * 3600},
        },
        "gpuIdleSeconds": 1800,
    }


def test_the_service_has_its_settings_and_no_right_beyond_ending_servers() -> None:
    part = limits.limits_part(limited())
    assert part.roles == {
        "lab-culler": {"scopes": ["list:users", "read:servers", "delete:servers"], "services": ["lab-culler"]}
    }
    service = tree(part.services["lab-culler"])
    assert service["command"] == ["python3", "-m", "lab_hub.culler"]
    settings = json.loads(str(tree(service["environment"])["LAB_CULLER"]))
    assert set(settings) == set(CullerSettings.__annotations__)
    assert settings == {
        "everySeconds": 60,
        "gpu": {"prometheus": "http://prometheus.monitoring:9090", "idleSeconds": 1800, "thresholdPercent": 3},
    }
    assert limits.culler_settings(hub()) == {"everySeconds": 60, "gpu": None}


@pytest.mark.parametrize(("named", "allowed"), [(0, False), (3, True)])
def test_named_servers_are_the_charts(named: int, *, allowed: bool) -> None:
    part = limits.limits_part(hub(servers={"named": named}))
    assert part.hub == {
        "allowNamedServers": allowed,
        "namedServerLimitPerUser": named,
        "consecutiveFailureLimit": 0,
    }


def test_jupyterlab_finds_the_extension_with_its_notices_beside_it() -> None:
    part = limits.limits_part(hub())
    mount = tree(part.server_mounts["lab-notices"])
    assert part.server_environment == {"JUPYTER_PATH": mount["mountPath"]}
    # A file mounted by its path below the volume would never be renewed.
    assert "subPath" not in mount
    projected = tree(tree(part.server_volumes["lab-notices"])["projected"])
    extension, notices = cast("Sequence[Mapping[str, Mapping[str, Value]]]", projected["sources"])
    keys = {str(tree(item)["key"]) for item in cast("Sequence[Value]", extension["configMap"]["items"])}
    assert keys == set(notice_files(hub()))
    fields = {
        str(tree(item)["path"]): str(tree(tree(item)["fieldRef"])["fieldPath"])
        for item in cast("Sequence[Value]", notices["downwardAPI"]["items"])
    }
    folder = "labextensions/research-compute-notices/static"
    assert fields == {
        f"{folder}/walltime-ends": "metadata.annotations['lab.internal/walltime-ends']",
        f"{folder}/gpu-eviction-at": f"metadata.annotations['{reslice.EVICTION_ANNOTATION}']",
        f"{folder}/gpu-idle-seconds": "metadata.annotations['lab.internal/gpu-idle-seconds']",
    }


def test_the_extension_is_one_that_is_built_and_names_itself_as_its_folder() -> None:
    files = notice_files(limited())
    package = json.loads(files["package.json"])
    assert package["name"] == limits.EXTENSION
    assert package["jupyterlab"] == {
        "extension": True,
        "_build": {"load": "static/remoteEntry.js", "extension": "./extension"},
    }
    assert f'NAME = "{limits.EXTENSION}"' in files["remoteEntry.js"]
    assert json.loads(files["settings.json"]) == {"warningSeconds": [3600, 300]}


def test_the_config_map_is_where_the_servers_are() -> None:
    def entry() -> None:
        LabNotices("hub-notices", LabNoticesArgs(config=hub(), namespace=pulumi.Output.from_input("hub-test")))

    graph = record(Program(project="research-compute", stack="test", entry=entry, config={}, secret_keys=()))
    (made,) = (goal for goal in graph.goals if goal.type == "kubernetes:core/v1:ConfigMap")
    inputs = cast("Mapping[str, Mapping[str, str]]", made.inputs)
    assert inputs["metadata"] == {"name": "lab-notices", "namespace": "hub-test"}
    assert inputs["data"] == notice_files(hub())


@pytest.mark.parametrize(
    ("prometheus", "peers", "port"),
    [
        (PROMETHEUS, (PodPeer(namespace={NAMESPACE_LABEL: "monitoring"}),), 9090),
        ({**PROMETHEUS, "port": 9091}, (PodPeer(namespace={NAMESPACE_LABEL: "monitoring"}),), 9091),
        (
            {"address": "https://prometheus.lab.org/db", "networks": ["192.0.2.0/28"]},
            tuple(NetworkPeer(network=network) for network in Networks.of("192.0.2.0/28")),
            443,
        ),
        (
            {"address": "http://192.0.2.4", "networks": ["192.0.2.4/32"]},
            tuple(NetworkPeer(network=network) for network in Networks.of("192.0.2.4/32")),
            80,
        ),
    ],
)
def test_the_hub_is_let_out_to_prometheus(prometheus: object, peers: object, port: int) -> None:
    config = hub(culling={"gpu": {"prometheus": prometheus}})
    (flow,) = limits.limits_flows(config, HUB.labels)
    assert (flow.direction, flow.pods, flow.peers) == (Direction.EGRESS, HUB.labels, peers)
    assert flow.ports == (Port(port),)
    assert list(limits.limits_flows(hub(), HUB.labels)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"culling": {"gpu": {}}}, "no Prometheus with them is named; add prometheus:"),
        ({"culling": {"gpu": {"prometheus": {"address": "http://p:9090"}}}}, "nothing says where Prometheus is"),
        (
            {"culling": {"gpu": {"prometheus": {**PROMETHEUS, "networks": ["192.0.2.0/28"]}}}},
            "cannot be both in a namespace and in networks",
        ),
        ({"culling": {"gpu": {"prometheus": {**PROMETHEUS, "address": "http://me:pw@p:9090"}}}}, "address"),
        ({"culling": {"every": "3h"}}, "later than the 2h they may be idle"),
        ({"limits": {"perUser": {}}}, "neither servers nor gpus are bounded"),
    ],
)
def test_what_makes_no_sense_by_itself_is_refused(changes: Mapping[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        hub(**changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        (
            {"profiles": [profile()], "culling": {"gpu": GPU_CULLING}},
            ["culling.gpu: no profile has a GPU that could be idle; drop gpu, or give a profile one"],
        ),
        (
            {"culling": {"gpu": {**GPU_CULLING, "idle": "5m"}}},
            [
                (
                    "culling.gpu.idle: 5m is too short to tell an idle GPU from one that waits for data; "
                    "allow at least 10m"
                ),
            ],
        ),
        (
            {"profiles": [profile(walltime="9m")]},
            ["profiles[0].walltime: a server that runs 9m may end before it has started; give it at least 10m"],
        ),
        (
            {"profiles": [profile(walltime="30m")], "culling": {"warnings": ["1h", "30m"]}},
            [
                (
                    "profiles[0].walltime: its users would never be warned: the last warning comes 30m before the end; "
                    "give it longer, or add a shorter one to culling.warnings"
                )
            ],
        ),
        (
            {"profiles": [profile(walltime="3d")], "culling": {"maxAge": "2d"}},
            [
                (
                    "profiles[0].walltime: 72h is longer than the 48h any server may run; "
                    "give it at most 48h, or raise culling.maxAge"
                )
            ],
        ),
        (
            {"limits": {"perUser": {"servers": 3}}, "servers": {"named": 1}},
            [
                (
                    "limits.perUser.servers: a user has at most 2 servers anyway; "
                    "set servers.named to at least 2, or drop it"
                )
            ],
        ),
        (
            {"profiles": [profile()], "limits": {"groups": {"lab": {"gpus": 1}}}},
            ["limits.groups.lab.gpus: no profile has a GPU; drop it"],
        ),
    ],
)
def test_what_contradicts_itself_is_told(changes: Mapping[str, object], expected: Sequence[str]) -> None:
    assert [str(problem) for problem in check_limits(hub(**changes))] == expected


def test_a_group_nobody_knows_is_told_where_the_stack_file_has_them_all() -> None:
    config = hub(limits={"groups": {"studnets": {"servers": 1}}})
    assert [str(problem) for problem in check_limits(config, groups=["students", "staff"])] == [
        "limits.groups.studnets: there is no group studnets; choose one of staff, students"
    ]
