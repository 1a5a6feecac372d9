"""A stack file from disk: what the official CLI would make of it, with lines for whoever has to correct it.

The program itself never imports this: it is given its configuration by whichever engine runs it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .config import CLUSTER_KEY, ClusterConfig, parse_cluster
from .environments import environment_of
from .errors import StackFileError
from .pins import load_pins
from .project import PROJECT, ROOT
from .reading import Document, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path as FilePath

    from components.model import Value
    from components.pins import Pins

__all__ = ["PlainValue", "SealedValue", "StackFile", "load_cluster", "load_stack_file", "stack_file_path"]


@dataclass(frozen=True)
class PlainValue:
    """A configuration value for everybody to read."""

    value: Value


@dataclass(frozen=True)
class SealedValue:
    """A secret as the file holds it: encrypted."""

    ciphertext: str


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """One ``Pulumi.<stack>.yaml``."""

    path: FilePath
    config: Mapping[str, PlainValue | SealedValue]
    """Values by full key (``research-compute:cluster``), in the order of the file."""
    encryption_salt: str | None
    """``encryptionsalt``: what a passphrase turns into the key of the sealed values (``v1:...``)."""
    secrets_provider: str | None
    """``secretsprovider``: another keeper of the key, or None for a passphrase."""
    lines: Mapping[Path, int]
    """Line of each key, by its path from the top of the file."""

    def program_config(self, unseal: Callable[[str], str] | None) -> tuple[dict[str, str], list[str]]:
        """Return the configuration as the program reads it: texts by full key, and which of the keys are secret.

        Parameters
        ----------
        unseal
            Turns a ciphertext into its plain text; None leaves the secrets out, as a preview without them does.
        """
        texts: dict[str, str] = {}
        secret_keys: list[str] = []
        for key, value in self.config.items():
            if isinstance(value, PlainValue):
                texts[key] = _text(value.value)
            elif unseal is not None:
                texts[key] = unseal(value.ciphertext)
                secret_keys.append(key)
        return texts, secret_keys


def stack_file_path(stack: str, root: FilePath = ROOT) -> FilePath:
    """Return where the file of a stack is: ``Pulumi.<stack>.yaml`` in the project's folder."""
    return root / f"Pulumi.{stack}.yaml"


def load_stack_file(path: FilePath) -> StackFile:
    """Return a stack file, read and judged as YAML and as a stack file; its cluster section is not judged yet.

    Raises
    ------
    StackFileError
        If it is not there, is no YAML, holds what two readers would read differently, or is not laid out as Pulumi's.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        problem = Problem(
            path=(), what="there is no such file", remedy="name a stack that has one, or copy one of the others"
        )
        raise StackFileError(file=path.name, problems=[problem]) from None
    document = read_yaml(text)
    problems = [*document.problems]
    root = document.value if isinstance(document.value, dict) else {}
    if not root and not problems:
        problems.append(Problem(path=(), what="the file holds no keys", remedy="write `config:` and the cluster below"))
    config = _config(root, document, problems)
    if problems:
        raise StackFileError(file=path.name, problems=[_within_cluster(problem) for problem in problems])
    return StackFile(
        path=path,
        config=config,
        encryption_salt=_optional_text(root, "encryptionsalt"),
        secrets_provider=_optional_text(root, "secretsprovider"),
        lines=document.lines,
    )


def load_cluster(file: StackFile, pins: Pins | None = None) -> ClusterConfig:
    """Return the cluster a stack file describes, validated as the program validates it, errors with their lines.

    Parameters
    ----------
    file
        The stack file.
    pins
        Pinned versions to hold it against; those of its environment where it is named ``Pulumi.<stack>.yaml``.

    Raises
    ------
    StackFileError
        With everything that is wrong with the section.
    """
    key = f"{PROJECT}:{CLUSTER_KEY}"
    value = file.config.get(key)
    if not isinstance(value, PlainValue):
        what = f"no value {key}" if value is None else f"{key} is sealed as a whole"
        problem = Problem(
            path=("config",),
            what=what,
            remedy=f"write the cluster in plain below {key}:",
            line=file.lines.get(("config", key), file.lines.get(("config",))),
        )
        raise StackFileError(file=file.path.name, problems=[problem])
    lines = {path[2:]: line for path, line in file.lines.items() if path[:2] in _CLUSTER_PATHS}
    if pins is None and (named := _STACK_FILE.fullmatch(file.path.name)):
        pins = load_pins(environment_of(named["stack"]).name)
    return parse_cluster(value.value, file=file.path.name, lines=lines, pins=pins)


def _config(
    root: Mapping[str, Value], document: Document, problems: list[Problem]
) -> dict[str, PlainValue | SealedValue]:
    """Return the configuration under full keys; a key without a namespace is the project's, as the CLI has it."""
    config: dict[str, PlainValue | SealedValue] = {}
    section = root.get("config")
    if section is not None and not isinstance(section, dict):
        problems.append(
            Problem(
                path=("config",),
                what="config is not a mapping",
                remedy=f"write {PROJECT}:{CLUSTER_KEY}: below it",
                line=document.lines.get(("config",)),
            )
        )
        return config
    for key, value in (section or {}).items():
        full = key if ":" in key else f"{PROJECT}:{key}"
        secure = value.get("secure") if isinstance(value, dict) and set(value) == {"secure"} else None
        config[full] = SealedValue(secure) if isinstance(secure, str) else PlainValue(value)
    return config


_STACK_FILE = re.compile(r"Pulumi\.(?P<stack>[^.]+)\.yaml")
"""Name of a stack's file, as the official CLI has it."""
_CLUSTER_PATHS: tuple[Path, ...] = (("config", f"{PROJECT}:{CLUSTER_KEY}"), ("config", CLUSTER_KEY))
"""Where the cluster is in a file; a key without a namespace is the project's."""


def _within_cluster(problem: Problem) -> Problem:
    """Return the problem, its path within the cluster where it is there, as all other problems name it."""
    return replace(problem, path=problem.path[2:]) if problem.path[:2] in _CLUSTER_PATHS else problem


def _optional_text(root: Mapping[str, Value], key: str) -> str | None:
    value = root.get(key)
    return value if isinstance(value, str) else None


def _text(value: Value) -> str:
    """Return a value as the engine hands it to a program: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
