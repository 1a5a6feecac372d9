"""What the hub may make and delete beside servers, and what nobody else may do to a server or with a home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.hub.files.lab_hub.wear_identity import IDENTITY_ANNOTATION

from .cel import mapping, nothing_at_all, one_of, text
from .identity import HOME_PREFIXES, container_ids, home_pattern
from .pods import COMPONENT_LABEL, NETWORK_LABEL, SERVER_COMPONENT, privilege_rules
from .policy import USERNAME_ANNOTATION, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.hub.config import HomeKey

    from .policy import ServerPlan

__all__ = ["claim_rules", "deletion_rules", "object_rules", "others_change_rules", "others_pod_rules"]

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
"""The API server's own, on every claim (StorageObjectInUseProtection)."""
HOME_ANNOTATIONS = "lab.internal/home-"
"""Beginning of what says whose home it is (``files/lab_hub/uid_homes.py``)."""
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
"""Where KubeSpawner says the class once more (``make_pvc``)."""


def claim_rules(names: HomeKey, plan: ServerPlan) -> Iterator[Rule]:
    """Yield what holds of a claim the hub makes: a home, empty, as it is planned.

    Parameters
    ----------
    names
        How homes are named.
    plan
        What servers are made of.
    """
    pattern = text(home_pattern(names))
    yield Rule(
        name="claim-name",
        reason="A claim of another name could be anything of the lab's.",
        expression=f"object.metadata.name.matches({pattern})",
        message="it is not named as homes are",
        message_expression=f"'claim ' + object.metadata.name + ' is not named as homes are: ' + {pattern}",
    )
    sources = (
        "(object.spec.?dataSource.hasValue() ? ['dataSource'] : [])"
        " + (object.spec.?dataSourceRef.hasValue() ? ['dataSourceRef'] : [])"
        " + (object.spec.?volumeName.orValue('') != '' ? ['volumeName'] : [])"
        " + (object.spec.?selector.hasValue() ? ['selector'] : [])"
    )
    yield nothing_at_all(
        "claim-source",
        "A clone of another user's claim, or another's volume, is another user's home.",
        f"({sources})",
        "a home begins empty, and this one names where it comes from",
    )
    yield Rule(
        name="claim-class",
        reason="Another class is other storage: other quotas, other backups.",
        expression=f"object.spec.?storageClassName.orValue('') == {text(plan.home_class)}",
        message="its storage class is not the homes'",
        message_expression="'storage class [' + object.spec.?storageClassName.orValue('') + '], planned is ['"
        f" + {text(plan.home_class)} + ']'",
    )
    # By way of dyn: the API server's type checker knows no quantities, and so not this field.
    size = "string(dyn(object.spec).resources.requests['storage'])"
    yield Rule(
        name="claim-size",
        reason="What a home asks for is what the lab planned to have for everybody.",
        expression=f"quantity({size}).compareTo(quantity({text(plan.home_capacity)})) == 0",
        message="it asks for another size than homes have",
        message_expression=f"'it asks for ' + {size} + ', and homes have ' + {text(plan.home_capacity)}",
    )
    yield Rule(
        name="claim-mode",
        reason="A home is a file system that any node mounts.",
        expression=f"object.spec.?accessModes.orValue([]).all(m, {one_of('m', plan.home_access_modes)})"
        " && object.spec.?volumeMode.orValue('Filesystem') == 'Filesystem'"
        " && !object.spec.?volumeAttributesClassName.hasValue()",
        message="it is not accessed as homes are",
        message_expression="'it is not accessed as homes are: ' + object.spec.?accessModes.orValue([]).join(', ')",
    )
    known = mapping({CLASS_ANNOTATION: plan.home_class})
    yield nothing_at_all(
        "claim-annotations",
        "Provisioners and binders are told by annotations what to do with a claim.",
        "object.metadata.?annotations.orValue({}).map(key, key).filter(key, !key.startsWith('hub.jupyter.org/')"
        f" && !key.startsWith('{HOME_ANNOTATIONS}')"
        f" && {known}[?key].orValue('') != object.metadata.annotations[key])",
        "it has annotations that are not planned",
    )
    yield Rule(
        name="claim-owners",
        reason="With an owner a home would go when that goes.",
        expression="object.metadata.?ownerReferences.orValue([]).size() == 0"
        f" && object.metadata.?finalizers.orValue([]).all(f, f == '{CLAIM_FINALIZER}')",
        message="it has an owner or a finalizer",
        message_expression="'a home has no owner and no finalizer of its own'",
    )


def object_rules() -> Iterator[Rule]:
    """Yield what holds of Services and Secrets: the hub makes none, although its Role lets it."""
    yield Rule(
        name="no-services-no-secrets",
        reason="A NodePort opens a node, a Service with the proxy's labels diverts its connections, and a Secret of "
        "the right type is filled with an account's token; servers are reached by their pods' addresses and need none.",
        expression="false",
        message="the hub makes no Services and no Secrets",
        message_expression="'the hub makes no Services and no Secrets: servers are reached by their pods, and ' + "
        "object.metadata.name + ' would be one'",
    )


def deletion_rules() -> Iterator[Rule]:
    """Yield what holds of a deletion by the hub: servers and nothing else, never a home."""
    labels = "oldObject.metadata.?labels.orValue({})"
    yield Rule(
        name="delete-servers-only",
        reason="Deleting a claim is deleting somebody's work; the hub never has to (`delete_pvc`).",
        expression="request.resource.resource == 'pods'"
        f" && {labels}[?'{COMPONENT_LABEL}'].orValue('') == '{SERVER_COMPONENT}'",
        message="the hub deletes servers and nothing else",
        message_expression="'the hub deletes servers and nothing else: ' + request.resource.resource + '/' + "
        "request.name + ' is none'",
    )


def others_pod_rules() -> Iterator[Rule]:
    """Yield what holds of pods that others than the hub make: no server, and nobody's home."""
    homes = " || ".join(f"name.startsWith({text(prefix)})" for prefix in HOME_PREFIXES)
    yield nothing_at_all(
        "others-homes",
        "Whom a pod with a home runs as is checked for the hub's servers; nobody else needs one.",
        f"variables.claims.filter(name, {homes})",
        "homes are mounted by servers of the hub alone",
    )
    yield Rule(
        name="others-servers",
        reason="Hub and proxy are reached by whoever is labelled as a server.",
        expression=f"variables.labels[?'{COMPONENT_LABEL}'].orValue('') != '{SERVER_COMPONENT}'",
        message="only the hub makes servers",
        message_expression=f"'only the hub makes pods labelled {COMPONENT_LABEL}: {SERVER_COMPONENT}, and this is '"
        " + request.userInfo.username",
    )


def others_change_rules() -> Iterator[Rule]:
    """Yield what holds of a changed pod: a server stays whose it is and what it is, whoever changes it."""
    for name, field, keys, reason in (
        (
            "kept-annotations",
            "annotations",
            (USERNAME_ANNOTATION, IDENTITY_ANNOTATION),
            "Whose a running server is would be another's; files in it are made from these.",
        ),
        (
            "kept-labels",
            "labels",
            (COMPONENT_LABEL, NETWORK_LABEL),
            "Network policies go by these while a server runs.",
        ),
    ):
        changed = " + ".join(
            f"(object.metadata.?{field}[?{text(key)}] == oldObject.metadata.?{field}[?{text(key)}]"
            f" ? [] : [{text(key)}])"
            for key in keys
        )
        yield nothing_at_all(name, reason, f"({changed})", "what a server is does not change")
    images = "{}.spec.containers.map(c, c.image) + {}.spec.?initContainers.orValue([]).map(c, c.image)"
    yield Rule(
        name="kept-images",
        reason="An image that was checked when the server was made could be another one afterwards.",
        expression=f"!variables.is_server || ({images.format('object', 'object')}) == "
        f"({images.format('oldObject', 'oldObject')})",
        message="the image of a server does not change",
        message_expression="'the image of a server does not change: ' + "
        "object.spec.containers.map(c, c.image).join(', ')",
    )
    debuggers = "variables.debuggers"
    for rule in (
        *privilege_rules(debuggers),
        *container_ids(debuggers, "variables.uid", "variables.gid", "its server runs as"),
    ):
        yield Rule(
            name=f"debug-{rule.name}",
            reason=rule.reason,
            expression=rule.expression,
            message=rule.message,
            message_expression=rule.message_expression,
        )
    mounts = "c.?volumeMounts.orValue([])"
    host = "object.spec.?volumes.orValue([]).filter(v, has(v.hostPath)).map(v, v.name)"
    yield nothing_at_all(
        "debug-host-files",
        "Files of the node are in the server for reading, and for it alone.",
        f"{debuggers}.filter(c, {mounts}.exists(m, m.name in {host})).map(c, c.name)",
        "containers added for debugging mount files of the node",
    )
