"""Previews and states without what differs from run to run, so that two engines' can be compared whole."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from contract_engines import PASSPHRASE, Object

from labctl.engine.state import Passphrase, SecretsManager
from labctl.graph.values import SECRET_SIGNATURE, SIGNATURE_KEY

MADE: Final = "<made>"
"""Stands for a value that a provider or the API server made up."""
STACK_TYPE: Final = "pulumi:pulumi:Stack"
PROVIDER_PREFIX: Final = "pulumi:providers:"
FIELD_MANAGER: Final = re.compile(r"pulumi-kubernetes-[0-9a-f]{8}")
MADE_BY_RANDOM: Final = {"hex", "dec", "b64Std", "b64Url", "id", "result", "bcryptHash"}
"""Outputs of the random provider that are its product."""
MADE_BY_SERVER: Final = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "clusterIP", "clusterIPs"}
"""What an API server gives to an object."""
BRIDGE_NOTES: Final = ("__pulumi_raw_state_delta", "__meta", "__pulumi-go-provider-version")
"""Notes that a provider plugin keeps for itself."""


class Opener:
    """Opens the secrets of an exported state."""

    def __init__(self, exported: Object) -> None:
        providers = exported["deployment"].get("secrets_providers", {})
        salt = providers.get("state", {}).get("salt")
        self._manager = SecretsManager(salt, (Passphrase("the test", PASSPHRASE),))

    def __call__(self, ciphertext: str) -> str:
        return self._manager.decrypt(ciphertext)


def opened(value: Any, opener: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON
    """Return `value` with every sealed value as ``{"sealed": plaintext JSON}``."""
    if isinstance(value, dict):
        mapping = cast("Object", value)
        if mapping.get(SIGNATURE_KEY) == SECRET_SIGNATURE:
            return {"sealed": opener(mapping["ciphertext"])}
        return {key: opened(item, opener) for key, item in mapping.items()}
    if isinstance(value, list):
        return [opened(item, opener) for item in cast("list[Any]", value)]
    return value


def state_by_urn(exported: Object) -> dict[str, Object]:
    """Return the resources of an exported state in normal form, by URN (`` (to be deleted)`` after what is left)."""
    opener = Opener(exported)
    found: dict[str, Object] = {}
    for resource in exported["deployment"].get("resources", []):
        key = resource["urn"] + (" (to be deleted)" if resource.get("delete") else "")
        assert key not in found, f"{key} twice"
        found[key] = _normal_resource(opened(resource, opener))
    return found


def _normal_resource(resource: Object) -> Object:
    normal = {key: value for key, value in resource.items() if key not in ("created", "modified")}
    package = str(normal["type"]).split(":", 1)[0]
    if normal["type"].startswith(PROVIDER_PREFIX):
        normal["id"] = MADE
    if "provider" in normal:
        normal["provider"] = normal["provider"].rsplit("::", 1)[0]
    for part in ("inputs", "outputs"):
        if part in normal:
            normal[part] = {key: value for key, value in normal[part].items() if key not in BRIDGE_NOTES}
    if package in ("random", "command") and "id" in normal:
        normal["id"] = MADE
    if package == "random":
        normal["outputs"] = _masked(normal["outputs"], MADE_BY_RANDOM)
    if package == "kubernetes":
        _normal_object(normal)
    return normal


def _masked(properties: Mapping[str, Any], names: set[str]) -> Object:
    """Return `properties` with the value of each of `names` masked; whether it is sealed stays visible."""

    def mask(value: Any) -> Any:  # noqa: ANN401 - JSON
        return {"sealed": MADE} if isinstance(value, dict) and "sealed" in value else MADE

    return {key: mask(value) if key in names else value for key, value in properties.items()}


def _normal_object(normal: Object) -> None:
    outputs = normal.get("outputs")
    if not isinstance(outputs, dict):
        return
    held = cast("Object", outputs)
    if "__fieldManager" in held:
        assert FIELD_MANAGER.fullmatch(held["__fieldManager"]), held["__fieldManager"]
        held["__fieldManager"] = MADE
    for place in (held.get("metadata"), held.get("spec")):
        if isinstance(place, dict):
            for key in MADE_BY_SERVER & cast("Object", place).keys():
                place[key] = MADE
    _mask_times(held.get("status"))


def _mask_times(value: Any) -> None:  # noqa: ANN401 - JSON
    """Mask every ``...Time`` at any depth."""
    if isinstance(value, dict):
        mapping = cast("Object", value)
        for key, item in mapping.items():
            if key.endswith("Time"):
                mapping[key] = MADE
            else:
                _mask_times(item)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            _mask_times(item)


def steps_by_urn(plan: Object) -> dict[str, Object]:
    """Return the steps of a preview that change something, by URN, without the states they carry."""
    found: dict[str, Object] = {}
    for step in plan.get("steps", []):
        if step["op"] != "same":
            assert step["urn"] not in found, f"{step['urn']} twice"
            found[step["urn"]] = {
                key: value for key, value in step.items() if key not in ("urn", "oldState", "newState", "provider")
            }
    return found


def differences(wanted: Any, got: Any, place: str = "") -> dict[str, str]:  # noqa: ANN401 - JSON
    """Return the places at which two pieces of JSON differ, ``key > key > [index]``, each with how."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        one, other = cast("Object", wanted), cast("Object", got)
        found: dict[str, str] = {}
        for key in sorted(one.keys() | other.keys()):
            here = f"{place} > {key}" if place else key
            if key not in other:
                found[here] = f"missing, wanted {one[key]!r}"
            elif key not in one:
                found[here] = f"not wanted, got {other[key]!r}"
            else:
                found |= differences(one[key], other[key], here)
        return found
    if isinstance(wanted, list) and isinstance(got, list):
        before, after = cast("list[Any]", wanted), cast("list[Any]", got)
        if len(before) == len(after):
            pairs = enumerate(zip(before, after, strict=True))
            return {
                where: how
                for index, (one, other) in pairs
                for where, how in differences(one, other, f"{place} > [{index}]").items()
            }
    return {} if wanted == got else {place: f"wanted {wanted!r}, got {got!r}"}
