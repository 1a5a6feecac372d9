"""A stack file from disk: what the official CLI would make of it, with lines for whoever has to correct it.

The program itself never imports this: it is given its configuration by whichever engine runs it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from components.problems import Path, Problem

from .config import CLUSTER_KEY, ClusterConfig, parse_cluster, with_line
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

__all__ = [
    "PlainValue",
    "SealedValue",
    "StackFile",
    "load_cluster",
    "load_stack_file",
    "require_fits_owner",
    "stack_file_path",
    "stack_names",
]


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


def stack_names(root: FilePath = ROOT) -> list[str]:
    """Return the names of the stacks that have a file in the project's folder, sorted."""
    return sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in root.glob("Pulumi.*.yaml"))


def load_stack_file(path: FilePath) -> StackFile:
    """Return a stack file, read and judged as YAML and as a stack file; its cluster section is not judged yet.

    Raises
    ------
    StackFileError
        If it is not there, is no YAML, holds what two readers would read differently, or is not laid out as Pulumi's.
    """
    document = read_yaml(_text_of(path))
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


def _text_of(path: FilePath) -> str:
    """Return the text of a stack file; a byte order mark is no part of it."""
    line: int | None = None
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) <= LARGEST_BYTES:
            return content.decode("utf-8-sig")
        what, remedy = f"it is larger than {LARGEST_BYTES // 1024:,} KiB", "leave in it what describes the cluster"
    except FileNotFoundError:
        what, remedy = "there is no such file", "name a stack that has one, or copy one of the others"
    except OSError as error:
        what, remedy = f"it cannot be read: {error.strerror}", "make it a file that you may read"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what, remedy = f"not UTF-8: the byte {error.object[error.start]:#04x}", "save the file in the encoding UTF-8"
    raise StackFileError(file=path.name, problems=[Problem(path=(), what=what, remedy=remedy, line=line)])


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
    lines = _cluster_lines(file)
    if pins is None and (named := _STACK_FILE.fullmatch(file.path.name)):
        pins = load_pins(environment_of(named["stack"]).name)
    return parse_cluster(value.value, file=file.path.name, lines=lines, pins=pins)


def require_fits_owner(file: StackFile, stack: str, cluster: ClusterConfig) -> None:
    """Return if a stack that lives on another's cluster says of it what that stack's file says.

    Parameters
    ----------
    file
        The stack's file; its owner's lies beside it.
    stack
        The stack's name.
    cluster
        Its cluster, checked; nothing is asked where it is its own.

    Raises
    ------
    StackFileError
        With everything that does not fit; or with what is wrong with the owner's own file.
    """
    owner = cluster.nodes.owner
    if owner is None:
        return
    from .tenancy import check_beside  # noqa: PLC0415 - few stacks live on another's cluster

    path = stack_file_path(owner, file.path.parent)
    if not path.is_file():
        others = ", ".join(other for other in stack_names(file.path.parent) if other != stack)
        what, remedy = f"there is no Pulumi.{owner}.yaml beside this file", f"write one of {others or 'none'}"
        problems = [Problem(path=("nodes", "adopt", "owner"), what=what, remedy=remedy)]
    else:
        owned = cluster if owner == stack else load_cluster(load_stack_file(path))
        problems = list(check_beside(stack, cluster, owned))
    if problems:
        lines = _cluster_lines(file)
        raise StackFileError(file=file.path.name, problems=[with_line(problem, lines) for problem in problems])


def _cluster_lines(file: StackFile) -> Mapping[Path, int]:
    return {path[2:]: line for path, line in file.lines.items() if path[:2] in _CLUSTER_PATHS}


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


LARGEST_BYTES = 1024 * 1024
"""Of a stack file: ours have 6 to 9 KB, one with a thousand hosts would have 400; a MiB takes some seconds to read."""
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
