"""The values of the hub's release as the local hub understands them, compared with the chart's own program.

`LAB_CHART_SOURCE` names the folder of the chart's sources (Zero to JupyterHub 4.4, ``jupyterhub/``): with it, the
chart's ``jupyterhub_config.py`` runs on the same values, and must leave the same configuration.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from labctl.graph.values import Plain
from labctl.local_hub.chart import HubRelease, translate, untranslated
from labctl.local_hub.errors import UntranslatedValuesError
from labctl.local_hub.trees import as_list, as_mapping, at, merged

VALUES: dict[str, Plain] = {
    "cull": {
        "enabled": True,
        "timeout": 7200,
        "every": 600,
        "maxAge": 86400,
        "users": False,
        "removeNamedServers": True,
    },
    "custom": {"lab": {"groups": {"gpu": ["vision"]}}},
    "hub": {
        "allowNamedServers": True,
        "namedServerLimitPerUser": 2,
        "concurrentSpawnLimit": 0,
        "activeServerLimit": 40,
        "config": {
            "JupyterHub": {"authenticator_class": "generic-oauth", "admin_access": False},
            "GenericOAuthenticator": {
                "client_id": "lab",
                "oauth_callback_url": "https://hub.lab.org/hub/oauth_callback",
            },
            "KubeSpawner": {"delete_pvc": False, "scheduler_name": "packing", "environment": {"FROM": "config"}},
        },
        "db": {"type": "sqlite-pvc", "pvc": {"storage": "5Gi"}},
        "existingSecret": "hub-keys",
        "extraConfig": {},
        "extraEnv": {
            "OAUTH_CLIENT_SECRET": {"valueFrom": {"secretKeyRef": {"name": "hub-client", "key": "client-secret"}}}
        },
        "extraFiles": {
            "lab.py": {"mountPath": "/usr/local/etc/jupyterhub/lab.py", "mode": 292, "stringData": "ONE = 1\n"}
        },
        "loadRoles": {"walltime": {"scopes": ["list:users"], "services": ["walltime"]}},
        "services": {"walltime": {"command": ["python3", "/usr/local/etc/jupyterhub/lab_hub/culler.py"]}},
        "templatePaths": ["/usr/local/etc/jupyterhub/templates"],
        "templateVars": {"announcement": "Soon"},
        "networkPolicy": {"enabled": False},
        "resources": {"requests": {"cpu": "200m"}},
    },
    "ingress": {"enabled": False},
    "prePuller": {"hook": {"enabled": False}},
    "proxy": {"service": {"type": "ClusterIP"}},
    "scheduling": {"userScheduler": {"enabled": False}, "podPriority": {"enabled": False}},
    "singleuser": {
        "image": {"name": "quay.io/jupyter/minimal-notebook", "tag": "1@sha256:abc"},
        "defaultUrl": "/lab",
        "startTimeout": 600,
        "profileList": [{"slug": "minimal", "display_name": "Minimal"}],
        "uid": 1000,
        "fsGid": 100,
        "cloudMetadata": {"blockWithIptables": False, "ip": "169.254.169.254"},
        "extraEnv": {"no_proxy": "localhost"},
        "extraPodConfig": {"enableServiceLinks": False},
        "extraTolerations": [{"key": "gpu", "operator": "Exists"}],
        "memory": {"guarantee": 0},
        "storage": {
            "type": "dynamic",
            "capacity": "100Gi",
            "dynamic": {
                "storageClass": "homes",
                "pvcNameTemplate": "home-{safe_username}",
                "volumeNameTemplate": "home",
            },
            "extraVolumes": {"data": {"name": "shared-data", "persistentVolumeClaim": {"claimName": "data"}}},
            "extraVolumeMounts": {"data": {"name": "shared-data", "mountPath": "/srv/data"}},
        },
    },
}
"""Everything this project writes, and some more."""


def release(values: dict[str, Plain] | None = None) -> HubRelease:
    return HubRelease(
        name="jupyterhub-dev",
        namespace="hub-dev",
        chart="jupyterhub",
        version="4.4.0",
        values=VALUES if values is None else values,
        is_recorded=True,
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"hub": {"cookieSecret": "abc"}}, ("hub.cookieSecret",)),
        ({"hub": {"extraCnfig": {}}, "singlesuer": {}}, ("hub.extraCnfig", "singlesuer")),
        ({"singleuser": {"storage": {"type": "static"}}}, ("singleuser.storage.type='static'",)),
        (
            {"singleuser": {"cloudMetadata": {"blockWithIptables": True}}},
            ("singleuser.cloudMetadata.blockWithIptables=True",),
        ),
        ({"scheduling": {"userScheduler": {"enabled": True}}}, ("scheduling.userScheduler.enabled=True",)),
        ({"hub": {"config": {"AnyClass": {"any": {"thing": 1}}}}}, ()),
        ({"proxy": {"chp": {"anything": 1}}, "hub": {"resources": {"requests": {"cpu": 1}}}}, ()),
    ],
)
def test_a_value_nobody_knows_is_named(values: dict[str, Plain], expected: tuple[str, ...]) -> None:
    assert untranslated(values) == expected
    if expected:
        with pytest.raises(UntranslatedValuesError) as raised:
            translate(release(values))
        assert all(path in str(raised.value) for path in expected)


def test_the_releases_values_count_before_the_charts_and_config_before_both() -> None:
    config = translate(release()).config
    assert config["KubeSpawner"]["storage_class"] == "homes"
    assert config["KubeSpawner"]["storage_access_modes"] == ["ReadWriteOnce"]  # the chart's
    assert config["KubeSpawner"]["environment"] == {"FROM": "config"}
    assert config["JupyterHub"]["admin_access"] is False
    tolerated = [as_mapping(each)["key"] for each in as_list(config["KubeSpawner"]["tolerations"])]
    assert tolerated == ["hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated", "gpu"]


def test_translating_leaves_the_values_as_they_were() -> None:
    before = json.dumps(VALUES)
    translate(release())
    assert json.dumps(VALUES) == before


def test_without_culling_there_is_no_culler() -> None:
    assert translate(release({"cull": {"enabled": False}})).config["JupyterHub"]["services"] == []


def test_values_are_merged_as_helm_does() -> None:
    assert merged({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}, "d": None}) == {
        "a": {"b": 1, "c": [2]},
        "d": None,
    }
    assert at({"a": {"b": 1}}, "a.b") == 1
    assert at({"a": {"b": 1}}, "a.b.c") is None


CHART_RUN = """
import json, os, sys
from pathlib import Path
from tornado.httpclient import AsyncHTTPClient
from traitlets.config import Config
AsyncHTTPClient.configure = lambda *_: None  # the curl client, which only the chart's image has
folder, source = Path(sys.argv[1]), Path(sys.argv[2])
def moved(name):
    return (source / "files" / "hub" / name).read_text().replace("/usr/local/etc/jupyterhub", str(folder))
(folder / "z2jh.py").write_text(moved("z2jh.py"))
sys.path.insert(0, str(folder))
c = Config()
code = compile(moved("jupyterhub_config.py"), str(folder / "jupyterhub_config.py"), "exec")
exec(code, {"get_config": lambda: c, "__file__": str(folder / "jupyterhub_config.py")})
print("\\n" + json.dumps(c, default=lambda lazy: {"lazy": repr(lazy)}))
"""
"""Runs the chart's configuration on values of ours; its folder is a temporary one."""

NOT_THE_VALUES = {
    "ConfigurableHTTPProxy": {"api_url"},
    "CryptKeeper": {"keys"},
    "JupyterHub": {"cookie_secret", "db_url", "hub_bind_url", "hub_connect_url"},
}
"""Addresses and secrets, which `labctl.local_hub.local` has its own of."""


CHART_SOURCE = os.environ.get("LAB_CHART_SOURCE", "")
"""The chart's sources (Zero to JupyterHub, folder ``jupyterhub/``), which are in no package registry: the next test is
collected where the variable names them."""


if CHART_SOURCE:

    def test_the_charts_own_program_makes_the_same_of_them(tmp_path: Path) -> None:
        source = Path(CHART_SOURCE)
        pytest.importorskip("jupyterhub", reason="the hub's own packages are not installed (requirements-dev.txt)")
        yaml = pytest.importorskip("yaml")
        whole = merged(cast("dict[str, Plain]", yaml.safe_load((source / "values.yaml").read_text())), VALUES)
        # The chart's Secret is made by sprig's `merge`, which leaves out what is null at the top (`nameOverride`).
        whole = {key: value for key, value in whole.items() if value is not None}
        whole |= {
            "Chart": {"Name": "jupyterhub", "Version": "4.4.0"},
            "Release": {"Name": "jupyterhub-dev", "Namespace": "hub-dev", "Service": "Helm"},
        }
        secrets = {
            "values.yaml": json.dumps(whole),
            "hub.config.JupyterHub.cookie_secret": "ab",
            "hub.config.CryptKeeper.keys": "cd",
            "hub.services.walltime.apiToken": "token",
        }
        for folder, content in (
            ("secret", secrets),
            ("config", {name: name for name in ("hub", "proxy-api", "proxy-public", "user-scheduler", "priority")}),
        ):
            (tmp_path / folder).mkdir()
            for name, text in content.items():
                (tmp_path / folder / name).write_text(text)
        variables = {"HUB_SERVICE_PORT": "8081", "PROXY_API_SERVICE_PORT": "8001", "POD_NAMESPACE": "hub-dev"}
        ended = subprocess.run(
            [sys.executable, "-c", CHART_RUN, str(tmp_path), str(source)],
            env={**variables, "PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        of_chart = cast("dict[str, dict[str, Plain]]", json.loads(ended.stdout.rpartition("\n{")[2].join(["{", ""])))
        ours = translate(release()).config
        for section, traits in NOT_THE_VALUES.items():
            of_chart[section] = {key: value for key, value in of_chart[section].items() if key not in traits}
        for service in as_list(of_chart["JupyterHub"]["services"]):
            as_mapping(service).pop("api_token", None)
        assert ours == {section: traits for section, traits in of_chart.items() if traits}
