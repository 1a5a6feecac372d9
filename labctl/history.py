"""A stack's past: its runs as the history has them, and what one of them left in the state.

What a run says of itself and the state it left are read as they are stored: secrets stay sealed, and no passphrase is
needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

from labctl.graph.differences import differences
from labctl.graph.values import REDACTED, SECRET_SIGNATURE, SIGNATURE_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labctl.engine.state import StackFiles
    from labctl.graph.values import Plain, Value

__all__ = ["PastRun", "StateChange", "past_of", "state_changes"]

TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.000Z"
"""As ``pulumi stack history --json`` writes times."""

Stored = dict[str, "Plain"]


@dataclass(frozen=True, kw_only=True)
class PastRun:
    """One entry of the history."""

    version: int
    """Counted from 1, the oldest; the official CLI counts the same way."""
    key: str
    """Where the entry is in the backend."""
    files: StackFiles

    @cached_property
    def entry(self) -> Mapping[str, Plain]:
        """Pulumi's ``backend.UpdateInfo``, read when first asked for; empty where it is not readable."""
        try:
            entry = json.loads(self.files.bucket.read(self.key) or b"{}")
        except ValueError:
            return {}
        return cast("Stored", entry) if isinstance(entry, dict) else {}

    @property
    def kind(self) -> str:
        """What it was: update, refresh, destroy, import."""
        return str(self.entry.get("kind", ""))

    @property
    def start(self) -> datetime:
        """When it began."""
        return _time(self.entry.get("startTime"))

    @property
    def end(self) -> datetime:
        """When it was over."""
        return _time(self.entry.get("endTime"))

    @property
    def succeeded(self) -> bool:
        """Whether all of it was done."""
        return self.entry.get("result") == "succeeded"

    @property
    def message(self) -> str:
        """Why, in the words of whoever ran it, or of the revision."""
        return str(self.entry.get("message") or "")

    @property
    def environment(self) -> dict[str, str]:
        """Where it came from: ``git.head``, ``exec.kind`` and the like."""
        return {key: str(value) for key, value in _object(self.entry.get("environment")).items()}

    @property
    def changes(self) -> dict[str, int]:
        """Steps by operation."""
        counted = _object(self.entry.get("resourceChanges"))
        return {key: value for key, value in counted.items() if isinstance(value, int)}

    @property
    def who(self) -> str:
        """Whose run it was: the user and machine, or, of the official CLI, which does not say, the commit's author."""
        known = self.environment
        if "labctl.user" in known:
            return f"{known['labctl.user']}@{known.get('labctl.host', '')}"
        return known.get("git.author", "")

    @property
    def revision(self) -> str:
        """The first digits of the git revision; a ``+`` where the tree had changes of its own."""
        head = self.environment.get("git.head", "")
        return head[:8] + ("+" if head and self.environment.get("git.dirty") == "true" else "")

    @property
    def config(self) -> dict[str, dict[str, Plain]]:
        """Its configuration as ``pulumi stack history --json`` shows it: what is sealed is ``[secret]``."""
        return {key: _config_value(value) for key, value in _object(self.entry.get("config")).items()}

    def resources(self) -> dict[str, Stored]:
        """Return the resources it left, as stored, by URN; none where the copy of its state is gone."""
        content = self.files.bucket.read(self.key.removesuffix(".history.json") + ".checkpoint.json")
        deployment = self.files.parse_checkpoint(content) or {}
        listed = deployment.get("resources")
        states = cast("list[Stored]", listed) if isinstance(listed, list) else []
        return {str(state.get("urn")): state for state in states if not state.get("delete")}

    def document(self) -> dict[str, Plain]:
        """Return it in the shape of ``pulumi stack history --json``; sealed values are ``[secret]``."""
        return {
            "version": self.version,
            "kind": self.kind,
            "startTime": self.start.strftime(TIME_FORMAT),
            "message": self.message,
            "environment": dict(self.environment),
            "config": {**self.config},
            "result": str(self.entry.get("result", "")),
            "endTime": self.end.strftime(TIME_FORMAT),
            "resourceChanges": dict(self.changes),
        }


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """One resource that a run left otherwise than it found it."""

    urn: str
    type: str
    op: str
    """create, update or delete."""
    paths: tuple[str, ...] = ()
    """Of an update: the inputs that are not what they were."""

    def document(self) -> Plain:
        """Return it for ``--json``."""
        return {"op": self.op, "urn": self.urn, "type": self.type, "paths": list(self.paths)}


def past_of(files: StackFiles) -> list[PastRun]:
    """Return the runs in a stack's history, the latest first; each is read when it is asked something."""
    keys = files.bucket.list(f".pulumi/history/{files.project}/{files.stack}")
    kept = sorted(key for key in keys if key.endswith(".history.json"))
    return [PastRun(version=version, key=key, files=files) for version, key in enumerate(kept, start=1)][::-1]


def state_changes(before: Mapping[str, Stored] | None, after: Mapping[str, Stored]) -> list[StateChange]:
    """Return what is in one state and not in the other, or with other inputs, sorted by URN."""
    old = before or {}
    found: list[StateChange] = []
    for urn in sorted(old.keys() | after.keys()):
        type_ = str((after.get(urn) or old.get(urn) or {}).get("type", ""))
        if urn not in old or urn not in after:
            found.append(StateChange(urn=urn, type=type_, op="delete" if urn in old else "create"))
            continue
        changed = differences(_inputs(old[urn]), _inputs(after[urn]))
        if changed or old[urn].get("id") != after[urn].get("id"):
            paths = tuple(path.removesuffix(f".{_SEALED}") for path in changed) or ("id",)
            found.append(StateChange(urn=urn, type=type_, op="update", paths=tuple(dict.fromkeys(paths))))
    return found


_SEALED: Final = "ciphertext"


def _inputs(state: Stored) -> Value:
    return cast("Value", _object(state.get("inputs")))


def _object(value: Plain) -> Stored:
    return value if isinstance(value, dict) else {}


def _time(value: Plain) -> datetime:
    return datetime.fromtimestamp(value if isinstance(value, int | float) else 0, UTC)


def _config_value(value: Plain) -> dict[str, Plain]:
    """Return a stored configuration value as the official CLI shows it (``configValueJSON``)."""
    if isinstance(value, dict) and set(value) == {"secure"}:
        return {"value": REDACTED, "secret": True}
    if isinstance(value, dict | list):
        sealed = _has_sealed(value)
        text = REDACTED if sealed else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        shown: dict[str, Plain] = {"value": text, "secret": sealed}
        return shown if sealed else shown | {"objectValue": value}
    return {"value": str(value), "secret": value == REDACTED}


def _has_sealed(value: Plain) -> bool:
    if isinstance(value, dict):
        marked = set(value) == {"secure"} or value.get(SIGNATURE_KEY) == SECRET_SIGNATURE
        return marked or any(map(_has_sealed, value.values()))
    return isinstance(value, list) and any(map(_has_sealed, value))
