"""Helm releases on a real API server, by the real helm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from chart_samples import GREETER, ChartRepository, write_chart
from cluster_api import eventually
from provider_samples import Lab, make_lab

from labctl.control_plane import obtain_tool
from labctl.engine.providers.base import Operation, PartialFailureError, Resource
from labctl.engine.providers.kubernetes.releases.exceptions import (
    ChartUnreachableError,
    HelmFailedError,
    HelmUnavailableError,
    ReleaseBusyError,
    ReleaseExistsError,
)
from labctl.graph.differences import Change
from labctl.graph.values import UNKNOWN, Inputs, Secret, Value, as_mapping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cluster_api import Api

    from labctl.control_plane import ControlPlane

TOKEN = "kubernetes:helm.sh/v3:Release"
NOWHERE = "https://charts.invalid/stable"


@pytest.fixture(scope="session")
def helm() -> Path:
    return obtain_tool("helm")


@pytest.fixture
def lab_with(control_plane: ControlPlane, helm: Path, tmp_path: Path) -> Callable[..., Lab]:
    """Make a provider whose project folder holds the chart ``greeter``."""
    write_chart(tmp_path / "greeter")

    def make(*, simulated: bool = False, tool: Callable[[], Path] = lambda: helm) -> Lab:
        kubeconfig = str(control_plane.kubeconfig.resolve())
        return make_lab(kubeconfig, simulated=simulated, project=tmp_path, work=tmp_path / "helm", helm=tool)

    return make


@pytest.fixture
def lab(lab_with: Callable[..., Lab]) -> Lab:
    return lab_with()


def release(namespace: str, *, chart: str = "./greeter", values: Value = None, **more: Value) -> Inputs:
    return {
        "chart": chart,
        "name": "greeter",
        "namespace": namespace,
        "values": values if values is not None else {"greeting": "hi"},
        "compat": "true",
        **more,
    }


def remote(namespace: str, url: str = NOWHERE, **more: Value) -> Inputs:
    options: Inputs = {"repo": url}
    return release(
        namespace,
        chart="greeter",
        version="1.2.3",
        repositoryOpts={**options, **as_mapping(more.pop("login", None))},
        **more,
    )


def greeting(api: Api, namespace: str) -> dict[str, str]:
    return api.get(f"/api/v1/namespaces/{namespace}/configmaps/greeter-greeting")["data"]


def test_a_release_is_installed_upgraded_refreshed_and_uninstalled(lab: Lab, namespace: str, api: Api) -> None:
    lab.namespace(namespace)
    wanted = lab.wanted(TOKEN, "greeter", release(namespace, values={"greeting": "hi", "nested": {"count": 1}}))
    preview = lab.provider.create(wanted, lab.context(preview=True))

    made = lab.create(wanted)

    assert preview.outputs["status"] is UNKNOWN
    assert made.id == f"{namespace}/greeter"
    assert greeting(api, namespace) == {"greeting": "hi", "count": "1"}
    assert made.outputs["status"] == {
        "appVersion": "7",
        "chart": "greeter",
        "name": "greeter",
        "namespace": namespace,
        "revision": 1,
        "status": "deployed",
        "version": "1.2.3",
    }
    assert made.outputs["resourceNames"] == {"ConfigMap/v1": [f"{namespace}/greeter-greeting"]}
    assert made.outputs["__inputs"] == Secret(made.inputs)
    assert {key: made.outputs[key] for key in made.inputs} == made.inputs

    changed_inputs = release(namespace, values={"greeting": "bye"})
    assert dict(lab.diff(made, changed_inputs).changes) == {
        "values.greeting": Change.UPDATE,
        "values.nested": Change.DELETE,
    }
    changed = lab.update(made, changed_inputs)
    assert greeting(api, namespace) == {"greeting": "bye", "count": "0"}
    assert as_mapping(changed.outputs["status"])["revision"] == 2
    assert not lab.diff(changed, changed_inputs).changes

    read = lab.read(changed)
    assert read is not None
    assert read.inputs == changed.inputs
    lab.delete(changed)
    assert lab.read(changed) is None
    assert not api.exists(f"/api/v1/namespaces/{namespace}/configmaps/greeter-greeting")
    lab.delete(changed)


def test_all_values_may_be_taken_back(lab: Lab, namespace: str, api: Api) -> None:
    lab.namespace(namespace)
    made = lab.create(lab.wanted(TOKEN, "greeter", release(namespace)))

    lab.update(made, release(namespace, values={}))

    assert greeting(api, namespace)["greeting"] == "hello"


def test_values_set_by_somebody_else_show_as_drift(
    lab: Lab, namespace: str, control_plane: ControlPlane, helm: Path, tmp_path: Path
) -> None:
    lab.namespace(namespace)
    made = lab.create(lab.wanted(TOKEN, "greeter", release(namespace)))
    by_hand = ["upgrade", "greeter", str(tmp_path / "greeter"), "--set", "greeting=edited", "--namespace", namespace]
    subprocess.run(
        [str(helm), *by_hand, "--kubeconfig", str(control_plane.kubeconfig)], check=True, capture_output=True
    )

    drifted = lab.read(made)

    assert drifted is not None
    assert dict(lab.diff(drifted, release(namespace)).changes) == {"values.greeting": Change.UPDATE}


def test_secret_values_reach_helm_and_stay_sealed(lab: Lab, namespace: str, api: Api) -> None:
    lab.namespace(namespace)

    made = lab.create(lab.wanted(TOKEN, "greeter", release(namespace, values={"greeting": Secret("hush-canary")})))

    assert greeting(api, namespace)["greeting"] == "hush-canary"
    assert made.outputs["values"] == {"greeting": Secret("hush-canary")}
    read = lab.read(made)
    assert read is not None
    assert "hush-canary" not in repr(read.outputs)
    assert "hush-canary" not in repr(made.outputs)


def test_somebody_elses_release_is_refused_and_left_alone(lab: Lab, namespace: str, api: Api) -> None:
    lab.namespace(namespace)
    lab.create(lab.wanted(TOKEN, "one", release(namespace)))

    with pytest.raises(ReleaseExistsError, match=f"{namespace}/greeter exists"):
        lab.create(lab.wanted(TOKEN, "two", release(namespace, values={"greeting": "mine"})))

    assert greeting(api, namespace)["greeting"] == "hi"


def test_a_release_that_fails_is_recorded_with_helms_reason_and_mended_later(
    lab: Lab, namespace: str, api: Api
) -> None:
    lab.namespace(namespace)
    made = lab.create(lab.wanted(TOKEN, "greeter", release(namespace)))

    with pytest.raises(PartialFailureError, match="Not_A_Name") as raised:
        lab.update(made, release(namespace, values={"broken": True, "greeting": "x"}))
    assert as_mapping(raised.value.outputs["status"])["status"] == "failed"
    lab.update(made, release(namespace, values={"greeting": "mended"}))

    assert greeting(api, namespace)["greeting"] == "mended"


def test_an_atomic_release_that_fails_leaves_nothing(lab: Lab, namespace: str) -> None:
    lab.namespace(namespace)
    wanted = lab.wanted(TOKEN, "greeter", release(namespace, values={"broken": True}, atomic=True, timeout=20))

    with pytest.raises(HelmFailedError, match="Not_A_Name"):
        lab.create(wanted)

    lab.create(lab.wanted(TOKEN, "greeter", release(namespace)))


def pending(api: Api, namespace: str, revision: int = 1) -> None:
    """Make the newest revision look as one looks whose helm was killed."""
    import base64  # noqa: PLC0415 - only here
    import gzip  # noqa: PLC0415 - only here

    path = f"/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.greeter.v{revision}"
    stored = base64.b64decode(base64.b64decode(api.get(path)["data"]["release"]))
    content = json.loads(gzip.decompress(stored))
    content["info"]["status"] = "pending-install" if revision == 1 else "pending-upgrade"
    again = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(content).encode()))).decode()
    status = content["info"]["status"]
    api.merge(path, {"data": {"release": again}, "metadata": {"labels": {"status": status}}})


@pytest.mark.parametrize("revision", [1, 2])
def test_a_run_that_was_cut_off_is_done_again(lab: Lab, namespace: str, api: Api, revision: int) -> None:
    lab.namespace(namespace)
    wanted = lab.wanted(TOKEN, "greeter", release(namespace))
    made = lab.create(wanted)
    if revision == 2:
        made = lab.update(made, release(namespace, values={"greeting": "two"}))
    pending(api, namespace, revision)
    uid = api.get(f"/api/v1/namespaces/{namespace}/configmaps/greeter-greeting")["metadata"]["uid"]

    with pytest.raises(ReleaseBusyError, match="pending-"):
        lab.update(made, release(namespace, values={"greeting": "three"}))
    if revision == 1:
        lab.create(wanted, lab.context(interrupted=Operation.CREATING))
    else:
        lab.update(made, release(namespace, values={"greeting": "three"}), lab.context(interrupted=Operation.UPDATING))

    after = api.get(f"/api/v1/namespaces/{namespace}/configmaps/greeter-greeting")
    assert after["metadata"]["uid"] == uid
    assert after["data"]["greeting"] == ("hi" if revision == 1 else "three")
    assert any("was cut off" in line for line in lab.said)


WAITING = {
    "Chart.yaml": GREETER["Chart.yaml"],
    "templates/pod.yaml": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: never}\n"
        "spec: {containers: [{name: c, image: r.example/c:1, resources: {limits: {cpu: '9000'}}}]}\n"
    ),
}


def test_a_stop_ends_helm_gently_and_the_release_is_recorded_as_failed(
    lab: Lab, namespace: str, tmp_path: Path
) -> None:
    write_chart(tmp_path / "waiting", WAITING)
    lab.namespace(namespace)
    stop = threading.Event()
    threading.Timer(2.0, stop.set).start()

    with pytest.raises(PartialFailureError) as raised:
        lab.create(lab.wanted(TOKEN, "greeter", release(namespace, chart="./waiting")), lab.context(cancelled=stop))

    assert as_mapping(raised.value.outputs["status"])["status"] == "failed"


def test_a_chart_of_a_repository_is_fetched_once(lab: Lab, namespace: str, api: Api, tmp_path: Path) -> None:
    lab.namespace(namespace)
    repository = ChartRepository(tmp_path / "repository")
    made = lab.create(lab.wanted(TOKEN, "greeter", remote(namespace, repository.url)))
    repository.close()

    lab.update(made, remote(namespace, repository.url, values={"greeting": "offline"}))

    assert greeting(api, namespace)["greeting"] == "offline"


def test_a_repository_with_a_password_never_shows_it(lab: Lab, namespace: str, api: Api, tmp_path: Path) -> None:
    lab.namespace(namespace)
    repository = ChartRepository(tmp_path / "repository", password="hush-canary")
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    try:
                        with open(f"{entry.path}/cmdline", "rb") as file:  # noqa: PTH123 - many, quickly
                            seen.append(file.read().decode(errors="replace"))
                    except OSError:
                        continue
            done.wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    login: Inputs = {"username": "lab", "password": Secret("hush-canary")}
    lab.create(lab.wanted(TOKEN, "greeter", remote(namespace, repository.url, login=login)))
    wrong: Inputs = {"username": "lab", "password": Secret("wrong")}
    other: Inputs = {**remote(namespace, f"{repository.url}/", login=wrong), "name": "other"}
    with pytest.raises(ChartUnreachableError):
        lab.create(lab.wanted(TOKEN, "other", other))
    done.set()
    watcher.join()
    repository.close()

    assert greeting(api, namespace)["greeting"] == "hi"
    assert any("\0pull\0" in line for line in seen)
    assert not any("hush-canary" in line for line in seen)
    kept = [path for path in (tmp_path / "helm").rglob("*") if path.is_file()]
    assert not any(b"hush-canary" in path.read_bytes() for path in kept)


def test_nothing_of_the_cluster_is_left_in_helms_home(lab: Lab, namespace: str, tmp_path: Path) -> None:
    lab.namespace(namespace)

    lab.create(lab.wanted(TOKEN, "greeter", release(namespace)))

    assert not list((tmp_path / "helm").glob("kubeconfig-*"))


def test_an_unreachable_chart_is_an_error_on_a_real_cluster(lab: Lab, namespace: str) -> None:
    lab.namespace(namespace)
    wanted = lab.wanted(TOKEN, "greeter", remote(namespace))

    lab.provider.create(wanted, lab.context(preview=True))
    with pytest.raises(
        ChartUnreachableError, match=r"greeter cannot be fetched from https://charts\.invalid/stable.*mirror"
    ):
        lab.create(wanted)


def test_on_a_simulated_cluster_it_is_recorded_said_and_installed_when_it_can_be(
    lab_with: Callable[..., Lab], namespace: str, api: Api, tmp_path: Path
) -> None:
    lab = lab_with(simulated=True)
    lab.namespace(namespace)
    chart: Inputs = {"version": "1.2.3", "chart": "./mirror/greeter"}
    wanted = lab.wanted(TOKEN, "greeter", {**release(namespace), **chart})

    made = lab.create(wanted)

    assert made.outputs["__labSimulated"] is True
    assert as_mapping(made.outputs["status"])["status"] == "recorded"
    assert as_mapping(made.outputs["status"])["revision"] == 0
    assert made.outputs["values"] == {"greeting": "hi"}
    assert made.outputs["resourceNames"] == {}
    assert lab.said[-1].startswith("recorded, not installed: chart greeter 1.2.3 unreachable at ./mirror/greeter")
    assert not lab.diff(made, wanted.inputs).changes
    read = lab.read(made)
    assert read is not None
    assert read.outputs == made.outputs

    write_chart(tmp_path / "mirror" / "greeter")
    assert dict(lab.diff(made, wanted.inputs).changes) == {"status": Change.UPDATE}
    installed = lab.update(made, wanted.inputs)
    assert "__labSimulated" not in installed.outputs
    assert as_mapping(installed.outputs["status"])["status"] == "deployed"
    assert greeting(api, namespace)["greeting"] == "hi"
    lab.delete(installed)


def test_a_recorded_release_is_forgotten_without_helm(lab_with: Callable[..., Lab], namespace: str) -> None:
    def no_helm() -> Path:
        message = "no helm here"
        raise OSError(message)

    lab = lab_with(simulated=True, tool=no_helm)
    made = lab.create(lab.wanted(TOKEN, "greeter", remote(namespace)))

    lab.delete(made)

    assert as_mapping(made.outputs["status"])["status"] == "recorded"


@pytest.mark.parametrize("simulated", [True, False])
def test_without_helm_a_reachable_chart_is_recorded_only_on_a_simulated_cluster(
    lab_with: Callable[..., Lab], namespace: str, *, simulated: bool
) -> None:
    def no_helm() -> Path:
        message = "nothing builds here"
        raise OSError(message)

    lab = lab_with(simulated=simulated, tool=no_helm)
    wanted = lab.wanted(TOKEN, "greeter", release(namespace))

    if simulated:
        assert lab.create(wanted).outputs["__labSimulatedReason"] == "nothing builds here"
    else:
        with pytest.raises(HelmUnavailableError, match="nothing builds here"):
            lab.create(wanted)


def test_an_installed_release_whose_chart_went_away_stays_and_can_be_uninstalled(
    lab_with: Callable[..., Lab], namespace: str, api: Api, tmp_path: Path
) -> None:
    lab = lab_with(simulated=True)
    lab.namespace(namespace)
    fixed: Inputs = {"version": "1.2.3"}
    made = lab.create(lab.wanted(TOKEN, "greeter", {**release(namespace), **fixed}))
    (tmp_path / "greeter").rename(tmp_path / "gone")

    changed = lab.update(made, {**release(namespace, values={"greeting": "later"}), **fixed})

    assert changed.outputs["__labSimulated"] is True
    assert as_mapping(changed.outputs["status"])["revision"] == 1
    assert greeting(api, namespace)["greeting"] == "hi"
    lab.delete(changed)
    eventually(lambda: not api.exists(f"/api/v1/namespaces/{namespace}/configmaps/greeter-greeting"))


def test_another_name_is_another_release(lab: Lab, namespace: str) -> None:
    old = lab.wanted(TOKEN, "greeter", release(namespace))
    stored = Resource(urn=old.urn, type=TOKEN, id="x", inputs=old.inputs, outputs={"status": {"revision": 1}})

    assert lab.diff(stored, {**release(namespace), "name": "other"}).replace_paths == {"name"}
    assert lab.diff(stored, release("elsewhere")).replace_paths == {"namespace"}


def test_a_helm_that_is_killed_is_an_error_that_says_so(
    lab_with: Callable[..., Lab], namespace: str, tmp_path: Path
) -> None:
    script = tmp_path / "helm-that-dies"
    script.write_text(f"#!/bin/sh\nkill -{signal.SIGKILL.value} $$\n", encoding="utf-8")
    script.chmod(0o755)
    lab = lab_with(tool=lambda: script)

    with pytest.raises(HelmFailedError, match="exit code -9"):
        lab.create(lab.wanted(TOKEN, "greeter", release(namespace)))
