"""Two stacks on one API server: a lab, and a hub that lives on its cluster. Each test leaves both as it found them."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any, cast

import pytest
from cluster_api import eventually
from hub_admission_bed import ANA, CHART_RULES, Account, server_objects
from lab_copy import LabCopy
from lab_facts import OURS, Key, inventory
from sharing_bed import Shared, granted, is_of

from components.model import Value
from labctl.control_plane.client import tls_context
from labctl.graph.record import record
from labctl.lab import open_lab
from stacks.sharing import owned_twice

RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces"


@pytest.fixture(scope="module")
def shared(project_copy: LabCopy) -> Generator[Shared]:
    """Both up, as docs/sharing.md has it: the owner grants, the tenant comes."""
    lab, both = project_copy, granted(project_copy)
    early = both.tenant.run("up", "--yes")
    assert early.code == 4
    assert "labctl up --stack dev" in early.err
    assert not (lab.root / ".lab" / "dev" / "control-plane").exists(), "a tenant starts no control plane for its owner"
    lab.well("up", "--yes")
    both.tenant.well("up", "--yes")
    yield both
    both.tenant.run("destroy", "--yes")


def test_both_stay_as_they_are(shared: Shared) -> None:
    nodes = shared.api.get("/api/v1/nodes")["items"]
    for each in (shared.tenant, shared.lab, shared.tenant):
        assert "Nothing to do" in each.well("up", "--yes").out
    shared.settled()
    assert not (shared.lab.root / ".lab" / "dev-open" / "control-plane").exists()
    assert {node["metadata"]["uid"] for node in nodes} == {
        node["metadata"]["uid"] for node in shared.api.get("/api/v1/nodes")["items"]
    }
    status = json.loads(shared.tenant.well("status", "--json").out)
    assert status["name"] == "lab-dev"
    assert status["running"]


def test_no_object_is_owned_twice(shared: Shared) -> None:
    graphs = [record(open_lab(each.stack, shared.lab.root).program()) for each in (shared.lab, shared.tenant)]
    assert owned_twice(graphs[0].goals, graphs[1].goals) == ()
    twice: list[tuple[Key, set[str]]] = []
    tenants = 0
    for key, item in inventory(shared.api).items():
        managers = {str(entry["manager"]) for entry in item["metadata"].get("managedFields", [])}
        ours = {manager for manager in managers if manager.startswith(OURS)}
        if len(ours) > 1:
            twice.append((key, ours))
        tenants += bool(ours) and is_of(key, "dev-open")
    assert twice == []
    made = [goal for goal in graphs[1].goals if goal.custom and goal.package == "kubernetes" and not goal.is_provider]
    assert tenants == len([goal for goal in made if not goal.type.endswith(":Release")])


def test_a_change_of_one_is_none_of_the_other(shared: Shared) -> None:
    before = shared.others()
    shared.tenant.edit("name: Browse\n", "name: Look\n")
    assert "Done: " in shared.tenant.well("up", "--yes").out
    assert shared.others() == before
    shared.lab.well("preview", "--refresh", "--expect-no-changes")
    shared.tenant.edit("name: Look\n", "name: Browse\n")
    shared.tenant.well("up", "--yes")
    old = shared.lab.file.read_text(encoding="utf-8")
    shared.lab.file.write_text(old.replace("name: Minimal", "name: Small"), encoding="utf-8")
    assert "Done: " in shared.lab.well("up", "--yes").out
    shared.tenant.well("preview", "--refresh", "--expect-no-changes")
    shared.lab.file.write_text(old, encoding="utf-8")
    shared.lab.well("up", "--yes")
    shared.settled()


def account(shared: Shared, stack: str) -> Account:
    """Return the hub's account of a stack, with the chart's Role: the chart itself is recorded only."""
    namespace = f"hub-{stack}"
    subject = {"kind": "ServiceAccount", "name": "hub", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "hub"}
    for path, body in (
        (f"/api/v1/namespaces/{namespace}/serviceaccounts", {}),
        (f"{RBAC}/{namespace}/roles", {"rules": list(CHART_RULES)}),
        (f"{RBAC}/{namespace}/rolebindings", {"subjects": [subject], "roleRef": role}),
    ):
        if not shared.api.exists(f"{path}/hub"):
            shared.api.post(path, {"metadata": {"name": "hub"}, **body})
    request = {"spec": {"expirationSeconds": 3600}}
    token = shared.api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/hub/token", request)["status"]["token"]
    authority = tls_context(authority=shared.lab.plane.directory / "pki" / "ca.crt", client=None)
    return Account(shared.api, authority, token)


def values_of(shared: Shared, stack: str) -> Mapping[str, Mapping[str, Value]]:
    graph = record(open_lab(stack, shared.lab.root).program())
    (hub,) = [goal for goal in graph.goals if goal.name == "hub-jupyterhub"]
    return cast("Mapping[str, Mapping[str, Any]]", hub.inputs["values"])


def test_servers_are_judged_by_their_own_hubs_policies(shared: Shared) -> None:
    hubs = {stack: account(shared, stack) for stack in ("dev", "dev-open")}
    guest, home = server_objects(values_of(shared, "dev-open"), {"profile": "browse"}, "guest", None)
    own, _ = server_objects(values_of(shared, "dev"), {"profile": "minimal"}, "ana", ANA)
    pods = {stack: f"/api/v1/namespaces/hub-{stack}/pods?dryRun=All" for stack in hubs}
    # No one has an identity on the tenant: what its own policies take, the owner's would refuse. Which of several that
    # refuse is named is the API server's choice.
    eventually(lambda: "-dev'" in hubs["dev"].ask("POST", pods["dev"], guest).message)
    hubs["dev-open"].ask("POST", pods["dev-open"].replace("pods", "persistentvolumeclaims"), home).admitted()
    hubs["dev-open"].ask("POST", pods["dev-open"], guest).admitted()
    of_owner = hubs["dev"].ask("POST", pods["dev"], guest).refused("ValidatingAdmissionPolicy 'hub-", "-dev'")
    assert "-dev-open'" not in of_owner
    of_tenant = (
        hubs["dev-open"].ask("POST", pods["dev-open"], own).refused("ValidatingAdmissionPolicy 'hub-", "-dev-open'")
    )
    assert "-dev'" not in of_tenant
    # Neither account is anybody in the other's namespace.
    assert not hubs["dev-open"].may("create", "pods", "hub-dev")
    assert not hubs["dev"].may("create", "pods", "hub-dev-open")
    assert hubs["dev-open"].may("create", "pods", "hub-dev-open")


def test_a_node_has_labels_of_both(shared: Shared) -> None:
    path, old = "/api/v1/nodes/gpu-1", shared.tenant.file.read_text(encoding="utf-8")
    before = shared.api.get(path)["metadata"]["labels"]
    adopt = "adopt: {kubeconfig: .lab/dev/kubeconfig, simulated: true, owner: dev}\n"
    chassis = "lab.example.org/chassis: supermicro-4124gs-tnr"
    host = (
        f"address: 10.20.0.41, roles: [worker], labels: {{{chassis}, lab.example.org/open: 'yes'}}, "
        "hardware: {cpus: 128, memory: 1Ti, ephemeralStorage: 2T}"
    )
    shared.tenant.edit(adopt, f"{adopt}      hosts:\n        gpu-1: {{{host}}}\n")
    shared.tenant.well("up", "--yes")
    shared.settled()
    metadata = shared.api.get(path)["metadata"]
    assert metadata["labels"] == {**before, "lab.example.org/open": "yes"}
    said: list[set[str]] = [
        set(entry["fieldsV1"]["f:metadata"]["f:labels"])
        for entry in metadata["managedFields"]
        if str(entry["manager"]).startswith(OURS)
    ]
    assert len(said) == 2
    # The one they say alike is theirs together, and the owner keeps it.
    assert said[0] & said[1] == {"f:lab.example.org/chassis"}
    shared.tenant.file.write_text(old, encoding="utf-8")
    shared.tenant.well("up", "--yes")
    assert shared.api.get(path)["metadata"]["labels"] == before
    shared.settled()


def test_nothing_that_a_tenant_lives_on_is_taken_away(shared: Shared) -> None:
    before = shared.others()
    for arguments in (("destroy", "--yes"), ("down", "--wipe")):
        refused = shared.lab.run(*arguments)
        assert refused.code == 4, refused.text
        assert "labctl destroy --stack dev-open" in refused.err
    left = shared.tenant.run("down", "--wipe")
    assert left.code == 4, left.text
    assert "labctl destroy --stack dev-open" in left.err
    assert shared.others() == before
    assert shared.lab.plane.status().running


def test_down_of_the_tenant_stops_nothing_of_the_owner(shared: Shared) -> None:
    down = shared.tenant.well("down")
    assert "labctl down --stack dev" in down.out
    assert shared.lab.plane.status().running
    shared.lab.well("down")
    assert not shared.lab.plane.status().running
    # What is stopped is brought back by whoever comes first, with the owner's nodes on it.
    assert "Nothing to do" in shared.tenant.well("up", "--yes").out
    assert "Nothing to do" in shared.lab.well("up", "--yes").out
    shared.settled()


def test_what_is_not_so_any_more_is_noticed(shared: Shared) -> None:
    text = shared.lab.file.read_text(encoding="utf-8")
    published = "open: open.dev.lab.example.org"
    assert published in text
    shared.lab.file.write_text(text.replace(published, "other: other.dev.lab.example.org"), encoding="utf-8")
    refused = shared.tenant.run("up", "--yes")
    assert refused.code == 3, refused.text
    assert "network.hostnames.hub (line" in refused.err
    assert "dev's gateway has no listener https-open" in refused.err
    shared.lab.file.write_text(text, encoding="utf-8")
    shared.settled()


def test_the_tenant_goes_and_nothing_else(shared: Shared) -> None:
    before = shared.others()
    shared.tenant.well("destroy", "--yes")
    assert shared.others() == before
    eventually(lambda: not [key for key in inventory(shared.api) if is_of(key, "dev-open")])
    shared.lab.well("preview", "--refresh", "--expect-no-changes")
    shared.tenant.well("up", "--yes")
    shared.settled()


def test_after_its_owner_it_does_not_come_up(shared: Shared) -> None:
    shared.tenant.well("destroy", "--yes")
    shared.lab.well("destroy", "--yes")
    refused = shared.tenant.run("up", "--yes")
    assert refused.code == 4, refused.text
    assert "dev has nothing up" in refused.err
    assert not [key for key in inventory(shared.api) if is_of(key, "dev-open")]
    shared.tenant.well("down", "--wipe")
    shared.lab.well("down", "--wipe")
    assert not (shared.lab.root / ".lab" / "dev" / "control-plane").exists()
