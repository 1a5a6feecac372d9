"""The control plane as started: what it answers, whom it refuses, where it listens, and how fast it is there."""

import base64
import json
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3
from cluster_api import Api, Object, eventually

from labctl.control_plane import ControlPlane
from labctl.control_plane.client import tls_context
from labctl.control_plane.pins import CONTROL_PLANE_TOOLS, tool_pin

START_SECONDS = 5.0
"""What a start with a warm cache may take on an idle machine."""
SECOND_START_SECONDS = 0.5
"""What finding everything running may take there."""
BUSY = 10
"""So many times as long it may take beside whatever else runs on the same two cores."""


def test_version_is_the_pinned_one(api: Api) -> None:
    version = api.get("/version")
    assert version["gitVersion"] == f"v{tool_pin('kube-apiserver').version}"
    assert (version["major"], version["minor"]) == ("1", "36")


def test_everything_runs_and_is_well(control_plane: ControlPlane, figure: Callable[[str], None]) -> None:
    status = control_plane.status()
    assert status.running
    assert [component.name for component in status.components] == list(CONTROL_PLANE_TOOLS)
    assert all(component.pid and component.memory_bytes > 10 << 20 for component in status.components)
    total = sum(component.memory_bytes for component in status.components)
    figure(f"resident memory of the control plane: {total / 2**20:.0f} MiB")
    assert total < 1500 << 20


def request(control_plane: ControlPlane, path: str, headers: dict[str, str] | None = None) -> tuple[int, Object]:
    """Send a request without a client certificate."""
    context = tls_context(authority=control_plane.directory / "pki" / "ca.crt", client=None)
    with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
        response = pool.request("GET", f"{control_plane.status().server}{path}", headers=headers)
        return response.status, json.loads(response.data)


@pytest.mark.parametrize("path", ["/api/v1/namespaces", "/version", "/readyz", "/metrics"])
def test_anonymous_is_refused(control_plane: ControlPlane, path: str) -> None:
    assert request(control_plane, path)[0] == 401


def test_service_account_may_only_what_rbac_says(control_plane: ControlPlane, api: Api, namespace: str) -> None:
    api.namespace(namespace)
    token = api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token", {"spec": {}})["status"]["token"]
    headers = {"Authorization": f"Bearer {token}"}
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    status, answer = request(control_plane, path, headers)
    assert status == 403
    assert f"system:serviceaccount:{namespace}:default" in answer["message"]
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    api.post(
        f"{rbac}/roles",
        {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]},
    )
    api.post(
        f"{rbac}/rolebindings",
        {
            "metadata": {"name": "r"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        },
    )
    eventually(lambda: request(control_plane, path, headers)[0] == 200)
    assert request(control_plane, f"/api/v1/namespaces/{namespace}/secrets", headers)[0] == 403


def test_etcd_refuses_whoever_has_only_a_certificate_of_the_cluster(control_plane: ControlPlane) -> None:
    pki = control_plane.directory / "pki"
    ports = json.loads((control_plane.directory / "ports.json").read_text())
    url = f"https://127.0.0.1:{ports['etcd']}/health"

    def ask(certificate: str) -> int:
        context = tls_context(
            authority=pki / "etcd-ca.crt", client=(pki / f"{certificate}.crt", pki / f"{certificate}.key")
        )
        with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
            return pool.request("GET", url).status

    assert ask("etcd-client") == 200
    with pytest.raises(urllib3.exceptions.HTTPError):
        ask("admin")


def listening(pids: set[int]) -> list[str]:
    """Return the hexadecimal local addresses, port included, on which these processes listen (TCP, both families)."""
    inodes: set[str] = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            match = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())) if link.is_symlink() else None
            if match:
                inodes.add(match[1])
    found: list[str] = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(fields[1])
    return found


def test_everything_listens_on_loopback_only(control_plane: ControlPlane) -> None:
    pids = {component.pid for component in control_plane.status().components if component.pid}
    addresses = listening(pids)
    assert {address.partition(":")[0] for address in addresses} == {"0100007F"}
    ports = json.loads((control_plane.directory / "ports.json").read_text())
    assert {int(address.partition(":")[2], 16) for address in addresses} == set(ports.values())


def test_keys_are_readable_by_their_owner_only(control_plane: ControlPlane) -> None:
    files = [path for path in (control_plane.directory / "pki").iterdir() if path.is_file()]
    files += [control_plane.kubeconfig, *(control_plane.directory / "config").glob("*.kubeconfig")]
    assert len(files) > 20
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_kubeconfig_is_complete_in_itself(control_plane: ControlPlane, tmp_path: Path) -> None:
    text = control_plane.kubeconfig.read_text()
    assert f"current-context: {control_plane.name}\n" in text
    assert "certificate-authority:" not in text
    data = dict(re.findall(r"(\S+)-data: (\S+)", text))
    paths: dict[str, Path] = {}
    for name, encoded in data.items():
        paths[name] = tmp_path / name
        paths[name].write_bytes(base64.b64decode(encoded))
    client = (paths["client-certificate"], paths["client-key"])
    context = tls_context(authority=paths["certificate-authority"], client=client)
    server = re.findall(r"server: (\S+)", text)[0]
    with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
        assert pool.request("GET", f"{server}/api/v1/nodes").status == 200


def test_starting_what_runs_changes_nothing_and_is_quick(
    control_plane: ControlPlane, figure: Callable[[str], None]
) -> None:
    before = {component.name: component.pid for component in control_plane.status().components}
    began = time.monotonic()
    status = control_plane.start()
    elapsed = time.monotonic() - began
    assert {component.name: component.pid for component in status.components} == before
    figure(f"second start: {elapsed:.3f} s")
    assert elapsed < BUSY * SECOND_START_SECONDS


def test_first_start_is_quick(own_plane: ControlPlane, figure: Callable[[str], None]) -> None:
    began = time.monotonic()
    own_plane.start()
    elapsed = time.monotonic() - began
    figure(f"first start, warm cache: {elapsed:.2f} s")
    # The figure itself is shown with -rP.
    assert elapsed < BUSY * START_SECONDS
