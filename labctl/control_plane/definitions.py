"""CustomResourceDefinitions that an API server died over: established after its restart, and not five minutes later.

An API server establishes a definition from a queue in its memory, filled when it sees the definition change
(``apiextensions-apiserver``: ``crdHandler.updateCustomResourceDefinition``). One that it had accepted and not yet
established when it died waits, after the restart, for the next change or for the informer's resync.
"""

import json

from pydantic import BaseModel, ConfigDict, TypeAdapter

from .client import ApiClient, JsonValue, PatchType

__all__ = ["establish_definitions"]

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

MARK = "research-compute/noticed"
"""Annotation that is set and removed again: each is a change."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Condition(_Part):
    type: str
    status: str


class _Status(_Part):
    conditions: tuple[_Condition, ...] = ()


class _Metadata(_Part):
    name: str


class _Definition(_Part):
    metadata: _Metadata
    status: _Status = _Status()

    @property
    def waits(self) -> bool:
        """Whether its names are accepted and it is not established."""
        states = {condition.type: condition.status for condition in self.status.conditions}
        return states.get("NamesAccepted") == "True" and states.get("Established") != "True"


_DEFINITIONS = TypeAdapter(tuple[_Definition, ...])


def establish_definitions(client: ApiClient) -> tuple[str, ...]:
    """Have the API server notice every definition that waits to be established; return their names.

    Raises
    ------
    ApiRequestError
        The API server refused.
    """
    listed = json.loads(client.request("GET", PATH))
    waiting = tuple(item.metadata.name for item in _DEFINITIONS.validate_python(listed["items"]) if item.waits)
    for name in waiting:
        for value in ("true", None):
            annotations: dict[str, JsonValue] = {MARK: value}
            body: dict[str, JsonValue] = {"metadata": {"annotations": annotations}}
            client.request("PATCH", f"{PATH}/{name}", body, patch_type=PatchType.MERGE, missing_is_fine=True)
    return waiting
