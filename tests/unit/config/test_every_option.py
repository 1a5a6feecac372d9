"""Every option is documented, can be set, and is set in a fixture; the schema on disk is the models'."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import jsonschema
import pytest
from pydantic import BaseModel

from stacks.loading import load_stack_file
from stacks.schema import SCHEMA_FILE, render_schema, stack_file_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from components.model import Value
    from stacks.config import ClusterConfig


Options = dict[str, dict[str, str]]
"""The properties of one model, and what the schema says of each."""


def definitions() -> dict[str, dict[str, object]]:
    return cast("dict[str, dict[str, object]]", stack_file_schema()["definitions"])


def options() -> dict[str, Options]:
    """Return the properties of every model, by the model's name."""
    return {
        name: cast("Options", definition["properties"])
        for name, definition in definitions().items()
        if "properties" in definition
    }


def models_in(value: object) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from models_in(getattr(value, name))
    elif isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            yield from models_in(item)
    elif isinstance(value, tuple):
        for item in cast("tuple[object, ...]", value):
            yield from models_in(item)


def test_every_option_is_described() -> None:
    targets = cast("Options", definitions())
    poor: list[str] = []
    for model, named in options().items():
        for name, option in named.items():
            # Pydantic leaves out a description that the model behind the option has as its own.
            target = targets[option["$ref"].rsplit("/", 1)[-1]] if "$ref" in option else {}
            described = {**target, **option}
            if len(described.get("description", "")) < 8 or not described.get("title"):
                poor.append(f"{model}.{name}")
    assert not poor


def test_every_option_is_set_in_a_fixture(root: Path, load: Callable[[Path], ClusterConfig]) -> None:
    set_somewhere: dict[str, set[str]] = {}
    for path in sorted((root / "tests/unit/data/config").glob("every-option*.happy.yaml")):
        for model in models_in(load(path)):
            names = {type(model).model_fields[name].alias or name for name in model.model_fields_set}
            set_somewhere.setdefault(type(model).__name__, set()).update(names)
    missing = {
        f"{model}.{name}"
        for model, named in options().items()
        for name in named
        if name not in set_somewhere.get(model, set())
    }
    assert not missing


def test_the_schema_on_disk_is_fresh() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == render_schema(), "run python -m stacks.schema"


def test_the_schema_takes_what_the_models_take(happy_file: Path) -> None:
    jsonschema.validate(_as_json(happy_file), stack_file_schema())


def test_the_schema_takes_the_real_stacks(root: Path, stack_name: str) -> None:
    jsonschema.validate(_as_json(root / f"Pulumi.{stack_name}.yaml"), stack_file_schema())


def test_the_schema_refuses_unknown_keys(root: Path) -> None:
    data = _as_json(root / "tests/unit/data/config/host.error.unknown-key-nearest.yaml")
    with pytest.raises(jsonschema.ValidationError, match="adress"):
        jsonschema.validate(data, stack_file_schema())


def _as_json(path: Path) -> Value:
    """Return a stack file as an editor sees it."""
    file = load_stack_file(path)
    config = {key: getattr(value, "value", {"secure": "v1"}) for key, value in file.config.items()}
    return cast("Value", json.loads(json.dumps({"config": config})))
