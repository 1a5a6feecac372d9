"""What the hub may do in the cluster: the chart's service account, role and binding, and a token of that account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.control_plane.client import PatchType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labctl.control_plane.client import ApiClient, JsonValue

    from .chart import HubRelease

__all__ = ["ACCOUNT", "access_objects", "apply_access"]

ACCOUNT = "hub"
"""Name of the chart's service account, role and binding (``jupyterhub.hub.fullname``)."""
FIELD_MANAGER = "labctl-local-hub"
RBAC = "rbac.authorization.k8s.io"


def access_objects(release: HubRelease) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """Yield path and object of what the chart would have made (``templates/hub/rbac.yaml``). Pure.

    They carry Helm's marks: were the chart installed later, its release would take them over.
    """
    metadata: dict[str, JsonValue] = {
        "name": ACCOUNT,
        "namespace": release.namespace,
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {
            "meta.helm.sh/release-name": release.name,
            "meta.helm.sh/release-namespace": release.namespace,
        },
    }
    rules: list[JsonValue] = [
        {
            "apiGroups": [""],
            "resources": ["pods", "persistentvolumeclaims", "secrets", "services"],
            "verbs": ["get", "watch", "list", "create", "delete"],
        },
        {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "watch", "list"]},
    ]
    subject: JsonValue = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": release.namespace}
    reference: JsonValue = {"kind": "Role", "name": ACCOUNT, "apiGroup": RBAC}
    core, rbac = f"/api/v1/namespaces/{release.namespace}", f"/apis/{RBAC}/v1/namespaces/{release.namespace}"
    yield (
        f"{core}/serviceaccounts/{ACCOUNT}",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
    )
    yield (
        f"{rbac}/roles/{ACCOUNT}",
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
    )
    yield (
        f"{rbac}/rolebindings/{ACCOUNT}",
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "subjects": [subject],
            "roleRef": reference,
        },
    )


def apply_access(client: ApiClient, release: HubRelease) -> None:
    """Leave the objects of `access_objects` in the cluster.

    Raises
    ------
    ApiRequestError
        The API server refused one.
    """
    for path, body in access_objects(release):
        client.request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}&force=true", body, patch_type=PatchType.APPLY)
