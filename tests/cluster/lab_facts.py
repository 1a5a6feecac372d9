"""What a lab consists of, in a form that two labs can be compared in: objects of the API server, and the state."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from cluster_api import Api, Object
from lab_copy import PATIENCE_SECONDS, Ended, LabCopy

from labctl.control_plane.errors import ApiRequestError
from labctl.graph.values import SIGNATURE_KEY, Plain

OURS = "pulumi-kubernetes-"
"""Field managers of the program's objects begin with it."""
RESTLESS = frozenset({"Event", "Lease", "ComponentStatus"})
"""Kinds that the control plane writes all the time."""
SERVERS_OWN = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")
"""Metadata that the API server makes up."""


class Key(NamedTuple):
    """What names an object."""

    version: str
    kind: str
    namespace: str
    name: str


def inventory(api: Api) -> dict[Key, Object]:
    """Return every object of the API server, each under its preferred version."""
    groups = ["/api/v1"]
    groups += [f"/apis/{group['preferredVersion']['groupVersion']}" for group in api.get("/apis")["groups"]]
    found: dict[Key, Object] = {}
    for group in groups:
        for resource in api.get(group)["resources"]:
            if "/" in resource["name"] or "list" not in resource["verbs"] or resource["kind"] in RESTLESS:
                continue
            listed = _listed(api, f"{group}/{resource['name']}")
            for item in listed["items"]:
                meta = item["metadata"]
                version = group.removeprefix("/apis/").removeprefix("/api/")
                found[Key(version, resource["kind"], meta.get("namespace", ""), meta["name"])] = item
    return found


def _listed(api: Api, path: str) -> Object:
    """Return a list of objects; one of a kind that has just come may have to be asked for again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return api.get(path)
        except ApiRequestError as error:
            if error.status != HTTPStatus.TOO_MANY_REQUESTS or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def own(item: Object) -> list[Object]:
    """Return what the program's field managers have said of an object, without the time."""
    fields: list[Object] = item["metadata"].get("managedFields", [])
    said = [entry for entry in fields if str(entry["manager"]).startswith(OURS)]
    return sorted(({**entry, "time": ""} for entry in said), key=lambda entry: json.dumps(entry, sort_keys=True))


def objects_of_ours(api: Api) -> dict[Key, Object]:
    """Return the objects that the program made, as another lab would have them: without times, identities, randomness.

    Of a node, which is the control plane's, only what the program said about it.
    """
    found: dict[Key, Object] = {}
    for key, item in inventory(api).items():
        said = own(item)
        if said:
            found[key] = {"said": said} if key.kind == "Node" else {**_comparable(item), "said": said}
    return found


def _comparable(item: Object) -> Object:
    kept = {name: value for name, value in item.items() if name not in ("status", "metadata")}
    kept["metadata"] = {name: value for name, value in item["metadata"].items() if name not in SERVERS_OWN}
    if item.get("type") == "Opaque":
        kept["data"] = {name: len(value) for name, value in item.get("data", {}).items()}
    if "claimRef" in item.get("spec", {}):
        reference = {n: v for n, v in item["spec"]["claimRef"].items() if n not in ("uid", "resourceVersion")}
        kept["spec"] = {**item["spec"], "claimRef": reference}
    return kept


def versions(api: Api) -> dict[Key, str]:
    """Return the resource version of every object."""
    return {key: item["metadata"]["resourceVersion"] for key, item in inventory(api).items()}


def state_of(lab: LabCopy, *, finished: bool = True) -> dict[str, Object]:
    """Return the resources in the state file as another lab would have them, by URN; each once.

    None is half done if the run was `finished`.
    """
    deployment = lab.deployment()
    assert not (finished and deployment.get("pending_operations")), deployment["pending_operations"]
    resources: list[Object] = deployment.get("resources") or []
    identities = {f"{item['urn']}::{item['id']}": item["urn"] for item in resources if _is_provider(item)}
    found: dict[str, Object] = {}
    for item in resources:
        assert item["urn"] not in found, f"twice in the state: {item['urn']}"
        for mark in ("delete", "initErrors", "pendingReplacement"):
            assert not (finished and item.get(mark)), (item["urn"], mark, item[mark])
        found[item["urn"]] = _comparable_state(item, identities)
    return found


def _is_provider(item: Object) -> bool:
    return str(item["type"]).startswith("pulumi:providers:")


def _comparable_state(item: Object, identities: Mapping[str, str]) -> Object:
    kept = {
        name: value for name, value in item.items() if name not in ("created", "modified", "outputs", "sequenceNumber")
    }
    if _is_provider(item):
        kept["id"] = ""
    if "provider" in kept:
        kept["provider"] = identities[kept["provider"]]
    outputs: Object = item.get("outputs") or {}
    if item["type"].startswith("kubernetes:"):
        live = {name: outputs[name] for name in outputs if name not in ("status", "metadata", "spec")}
        metadata: Object = outputs.get("metadata") or {}
        outputs = {**live, "metadata": {"name": metadata.get("name")}}
    if item["type"].startswith("command:"):
        # What a command says depends on what was left for it to do, and its identity is a random one.
        kept["id"] = ""
        outputs = {name: value for name, value in outputs.items() if name not in ("stdout", "stderr")}
    kept["outputs"] = outputs
    return {name: sealed(value) for name, value in kept.items()}


def sealed(value: Plain) -> Plain:
    """Return `value` with every ciphertext replaced by one word: each is different each time."""
    if isinstance(value, dict):
        return "[secret]" if SIGNATURE_KEY in value else {name: sealed(item) for name, item in value.items()}
    return [sealed(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Undisturbed:
    """What the lab is after a run that nothing happened to."""

    objects: dict[Key, Object]
    state: dict[str, Object]


def finish(lab: LabCopy) -> Ended:
    """Bring the lab up, which must succeed."""
    result = lab.well("up", "--yes")
    assert "Traceback" not in result.text
    return result


def is_undisturbed(lab: LabCopy, undisturbed: Undisturbed) -> None:
    """Check that nothing is lost and nothing doubled: objects, state, and what a look at the cluster says."""
    found, state = objects_of_ours(lab.api), state_of(lab)
    assert found.keys() == undisturbed.objects.keys()
    assert {key: found[key] for key in found if found[key] != undisturbed.objects[key]} == {}
    assert state.keys() == undisturbed.state.keys()
    assert {urn: state[urn] for urn in state if state[urn] != undisturbed.state[urn]} == {}
    assert not lab.journal.exists()
    assert not lab.locks
    lab.well("preview", "--refresh", "--expect-no-changes")
