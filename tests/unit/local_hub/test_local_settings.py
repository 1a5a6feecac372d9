"""What the local hub is told of this machine, and what it keeps from one start to the next."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from test_chart_translation import VALUES, release

from labctl.control_plane.processes import MARK, end_marked
from labctl.graph.record import record
from labctl.graph.values import Plain, reveal
from labctl.lab import open_lab
from labctl.local_hub.access import access_objects
from labctl.local_hub.chart import translate, untranslated
from labctl.local_hub.chart_keys import CLUSTER_ONLY, READ, REFUSED_UNLESS
from labctl.local_hub.errors import DamagedHubFileError
from labctl.local_hub.local import Places, hub_settings
from labctl.local_hub.places import HubPort, keep_ports, keep_secrets, read_ports
from labctl.local_hub.trees import as_list, as_mapping, merged

MINE = Path("/project/.lab/dev/hub")


def settings(values: dict[str, Plain] | None = None, *, runs_servers: bool = True) -> dict[str, Plain]:
    translation = translate(release(values))
    places = Places(
        public="http://127.0.0.1:18001",
        proxy_api="http://127.0.0.1:18002",
        hub="http://127.0.0.1:18003",
        database=MINE / "jupyterhub.sqlite",
        secrets=MINE / "secrets.json",
        token=MINE / "token",
        authority=MINE / "ca.crt",
        files=MINE / "files",
        volumes={name: MINE / "volumes" / name for name in translation.volumes},
        mark=f"{MINE}#",
        runs_servers=runs_servers,
    )
    return hub_settings(translation, places)


def section(told: dict[str, Plain], name: str) -> dict[str, Plain]:
    return as_mapping(as_mapping(told["config"])[name])


def test_addresses_are_this_machines() -> None:
    told = settings()
    hub = section(told, "JupyterHub")
    assert hub["bind_url"] == "http://127.0.0.1:18001/"
    assert "base_url" not in hub
    assert hub["hub_bind_url"] == hub["hub_connect_url"] == "http://127.0.0.1:18003"
    assert section(told, "ConfigurableHTTPProxy") == {"should_start": False, "api_url": "http://127.0.0.1:18002"}
    callback = section(told, "GenericOAuthenticator")["oauth_callback_url"]
    assert callback == "http://127.0.0.1:18001/hub/oauth_callback"
    culler = as_mapping(as_list(hub["services"])[0])
    assert "--url=http://127.0.0.1:18003/hub/api" in as_list(culler["command"])


def test_folders_of_the_container_are_this_machines() -> None:
    extra: dict[str, Plain] = {
        "hub": {
            "extraVolumes": [{"name": "requests", "persistentVolumeClaim": {"claimName": "requests"}}],
            "extraVolumeMounts": [{"name": "requests", "mountPath": "/srv/home-requests"}],
        },
        "custom": {"lab": {"homeRequests": {"folder": "/srv/home-requests/in", "other": "/srv/home-requests-not"}}},
    }
    told = settings(merged(VALUES, extra))
    files = f"{MINE}/files/usr/local/etc/jupyterhub"
    assert told["folder"] == files
    assert section(told, "JupyterHub")["template_paths"] == [f"{files}/templates"]
    walltime = as_mapping(as_list(section(told, "JupyterHub")["services"])[1])
    assert as_list(walltime["command"])[1] == f"{files}/lab_hub/culler.py"
    lab = as_mapping(as_mapping(as_mapping(told["values"])["custom"])["lab"])
    assert lab["homeRequests"] == {"folder": f"{MINE}/volumes/requests/in", "other": "/srv/home-requests-not"}


def test_services_are_found_again_by_their_mark() -> None:
    for service in as_list(section(settings(), "JupyterHub")["services"]):
        assert as_mapping(as_mapping(service)["environment"])[MARK] == f"{MINE}#"


def test_only_a_hub_that_runs_servers_labels_them() -> None:
    label = "lab.internal/run"
    assert as_mapping(section(settings(), "KubeSpawner")["common_labels"])[label] == "local"
    assert label not in as_mapping(section(settings(runs_servers=False), "KubeSpawner")["common_labels"])


def test_no_value_is_both_read_and_left_out() -> None:
    assert not READ & CLUSTER_ONLY.keys()
    assert not READ & REFUSED_UNLESS.keys()


def test_the_hub_may_do_what_the_charts_role_says() -> None:
    objects = dict(access_objects(release()))
    (role,) = (body for path, body in objects.items() if "/roles/" in path)
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["pods", "persistentvolumeclaims", "secrets", "services"],
            "verbs": ["get", "watch", "list", "create", "delete"],
        },
        {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "watch", "list"]},
    ]
    source = os.environ.get("LAB_CHART_SOURCE")
    template = Path(source or "/nowhere") / "templates" / "hub" / "rbac.yaml"
    if template.exists():
        rules = cast("list[dict[str, list[str]]]", role["rules"])
        text = template.read_text()
        for rule in rules:
            assert str(rule["resources"]).replace("'", '"') in text
            assert str(rule["verbs"]).replace("'", '"') in text


def test_ports_are_kept_unless_somebody_else_took_them(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first = keep_ports(path, {})
    assert set(first) == set(HubPort)
    assert len(set(first.values())) == 3
    assert keep_ports(path, {}) == first == read_ports(path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", first[HubPort.HUB]))
        other.listen(1)
        assert keep_ports(path, {HubPort.HUB: first[HubPort.HUB]}) == first  # our own process
        second = keep_ports(path, {})
    assert second[HubPort.HUB] != first[HubPort.HUB]
    assert second[HubPort.PUBLIC] == first[HubPort.PUBLIC]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("[")
    with pytest.raises(DamagedHubFileError, match=r"ports\.json"):
        read_ports(tmp_path / "ports.json")


def test_tokens_are_made_once_each(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    first = keep_secrets(path, ("a",))
    second = keep_secrets(path, ("a", "b"))
    assert second["a"] == first["a"] != second["b"]
    assert len(second["b"]) == 64
    assert path.stat().st_mode & 0o777 == 0o600


def test_marked_processes_are_ended_and_no_others(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    with (
        subprocess.Popen(command, env={MARK: f"{tmp_path}#a"}, stdout=subprocess.PIPE) as marked,
        subprocess.Popen(command, env={MARK: f"{tmp_path}/other#a"}, stdout=subprocess.PIPE) as other,
    ):
        for process in (marked, other):
            assert process.stdout is not None
            process.stdout.readline()
        assert end_marked(f"{tmp_path}#") == (marked.pid,)
        assert marked.wait(timeout=10) == -9
        assert other.poll() is None
        other.kill()


def test_every_value_that_the_dev_stack_writes_is_known() -> None:
    root = Path(__file__).resolve().parents[3]
    graph = record(open_lab("dev", root).program())
    (values,) = (
        as_mapping(cast("Plain", reveal(node.inputs["values"])))
        for node in graph.goals
        if node.type == "kubernetes:helm.sh/v3:Release" and node.inputs.get("chart") == "jupyterhub"
    )
    assert untranslated(values) == ()
