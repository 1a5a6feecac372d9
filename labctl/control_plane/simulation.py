"""What a simulated cluster needs inside it beside kwok: volumes that follow their StorageClass.

kwok's templates see the claim and nothing else, so a stage cannot know the reclaim policy of the claim's class. The API
server can: a MutatingAdmissionPolicy with the StorageClasses as parameters fills it in when kwok creates the volume.
"""

from collections.abc import Iterable

from .client import ApiClient, JsonValue, PatchType

__all__ = ["SIMULATED_VOLUME_ANNOTATION", "install_simulation"]

FIELD_MANAGER = "labctl-simulation"

POLICY_NAME = "labctl-simulated-volumes"
"""Of the policy and its binding."""

SIMULATED_VOLUME_ANNOTATION = "research-compute/simulated-volume"
"""On the volumes that `files/kwok-stages.yaml` creates."""

_GROUP = "admissionregistration.k8s.io/v1"


def simulation_objects() -> Iterable[tuple[str, dict[str, JsonValue]]]:
    """Return plural and object of everything to apply. Pure."""
    policy: dict[str, JsonValue] = {
        "paramKind": {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"},
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["persistentvolumes"]}
            ]
        },
        "matchConditions": [
            {
                "name": "simulated",
                "expression": f"object.?metadata.annotations[?'{SIMULATED_VOLUME_ANNOTATION}'].hasValue()",
            },
            {"name": "of-this-class", "expression": "object.spec.storageClassName == params.metadata.name"},
        ],
        "mutations": [
            {
                # Not an apply configuration: that may not touch an atomic list such as mountOptions.
                "patchType": "JSONPatch",
                "jsonPatch": {
                    "expression": "["
                    "JSONPatch{op: 'add', path: '/spec/persistentVolumeReclaimPolicy',"
                    " value: params.?reclaimPolicy.orValue('Delete')},"
                    "JSONPatch{op: 'add', path: '/spec/mountOptions', value: params.?mountOptions.orValue([])}]"
                },
            }
        ],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
    }
    binding: dict[str, JsonValue] = {
        "policyName": POLICY_NAME,
        # All of them: the policy is asked once per class, and matches one.
        "paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"},
    }
    yield "mutatingadmissionpolicies", _object("MutatingAdmissionPolicy", policy)
    yield "mutatingadmissionpolicybindings", _object("MutatingAdmissionPolicyBinding", binding)


def _object(kind: str, spec: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return {"apiVersion": _GROUP, "kind": kind, "metadata": {"name": POLICY_NAME}, "spec": spec}


def install_simulation(client: ApiClient) -> None:
    """Leave the objects of `simulation_objects` in the cluster, as they are here.

    Raises
    ------
    ApiRequestError
        The API server refused one.
    """
    for plural, body in simulation_objects():
        path = f"/apis/{_GROUP}/{plural}/{POLICY_NAME}?fieldManager={FIELD_MANAGER}&force=true"
        client.request("PATCH", path, body, patch_type=PatchType.APPLY)
