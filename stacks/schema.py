"""JSON Schema of a whole stack file, for editors: ``python -m stacks.schema`` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from .config import CLUSTER_KEY, ClusterConfig
from .project import PROJECT

if TYPE_CHECKING:
    from components.model import Value

__all__ = ["SCHEMA_FILE", "render_schema", "stack_file_schema"]

SCHEMA_FILE = Path(__file__).parent / "schema.json"
"""Where the schema is kept; every stack file names it in its first line."""
_DIALECT = "http://json-schema.org/draft-07/schema#"
"""The dialect editors' YAML language servers know best; nothing here needs a newer one."""


def stack_file_schema() -> dict[str, Value]:
    """Return the schema of ``Pulumi.<stack>.yaml``: the cluster in full, other keys plain or sealed."""
    cluster: dict[str, Value] = ClusterConfig.model_json_schema(by_alias=True, mode="validation")
    definitions = cluster.pop("$defs")
    sealed: dict[str, Value] = {
        "type": "object",
        "properties": {"secure": {"type": "string", "description": "The ciphertext; `pulumi config set --secret`."}},
        "required": ["secure"],
        "additionalProperties": False,
    }
    return {
        "$schema": _DIALECT,
        "title": "Stack file of research-compute",
        "description": "One environment: its cluster, and the secrets the cluster names.",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "description": "Configuration keys, each with the project's name before it.",
                "properties": {f"{PROJECT}:{CLUSTER_KEY}": {"$ref": "#/definitions/ClusterConfig"}},
                "required": [f"{PROJECT}:{CLUSTER_KEY}"],
                "additionalProperties": {"anyOf": [sealed, {"type": ["string", "number", "boolean"]}]},
            },
            "encryptionsalt": {"type": "string", "description": "Written by the CLI; goes with the passphrase."},
            "secretsprovider": {"type": "string", "description": "Keeper of the key, where no passphrase is used."},
            "encryptedkey": {"type": "string", "description": "Written by the CLI; goes with secretsprovider."},
        },
        "required": ["config"],
        "additionalProperties": False,
        "definitions": _relocated({**_definitions(definitions), "ClusterConfig": cluster}),
    }


def render_schema() -> str:
    """Return the text of the schema's file."""
    return json.dumps(stack_file_schema(), indent=2, ensure_ascii=False) + "\n"


def _definitions(value: Value) -> dict[str, Value]:
    return dict(value) if isinstance(value, dict) else {}


def _relocated(value: Value) -> Value:
    """Return a schema whose references point at where this file keeps its definitions."""
    if isinstance(value, dict):
        return {
            key: item.replace("#/$defs/", "#/definitions/")
            if isinstance(item, str) and item.startswith("#/$defs/")
            else _relocated(item)
            for key, item in value.items()
        }
    return [_relocated(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    SCHEMA_FILE.write_text(render_schema(), encoding="utf-8")
