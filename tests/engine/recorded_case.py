"""One recorded program: what the official engine said at each step, in the form in which ours is compared with it."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from contract_engines import ContractEngine, Object
from normal_form import state_by_urn, steps_by_urn

WORDS: Final = {
    "created": "create",
    "updated": "update",
    "replaced": "replace",
    "deleted": "delete",
    "unchanged": "same",
}
"""How ``pulumi up`` counts, and the operation meant."""
COUNT: Final = re.compile(r"(\d+) (created|updated|replaced|deleted|unchanged)\b")


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """Text replaced in a case's programs and recordings, because the embedded engine refuses a part of it."""

    reason: str
    programs: dict[str, str] = field(default_factory=dict[str, str])
    recorded: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class RecordedCase:
    """A folder of recordings."""

    folder: Path
    rewrite: Rewrite

    @property
    def steps(self) -> list[str]:
        """Numbers of the steps, as text, in order."""
        return sorted((path.stem.removeprefix("step") for path in self.folder.glob("step*.py")), key=int)

    def program(self, step: str) -> str:
        """Return the program of a step."""
        return _replaced((self.folder / f"step{step}.py").read_text(encoding="utf-8"), self.rewrite.programs)

    def wanted(self) -> Object:
        """Return all that was recorded, step by step."""
        exits = self._json("exits.json")
        recorded: Object = {
            step: {
                "preview": _preview(exits[f"{step}.preview"], self._json(f"{step}.preview.json")),
                "up": {"exit": exits[f"{step}.up"], "changes": self._counts(f"{step}.up.txt")},
                "state": state_by_urn(self._json(f"{step}.export.json")),
                "again": _again(self._json(f"{step}.again.json")),
            }
            for step in self.steps
        }
        recorded["destroy"] = {"exit": exits["destroy"], "changes": self._counts("destroy.txt")}
        return recorded

    def run(self, engine: ContractEngine, kubeconfig: str | None) -> Object:
        """Return what `engine` does with the same programs, in the same form."""
        program = engine.folder / "__main__.py"
        done: Object = {}
        for step in self.steps:
            program.write_text(self.program(step), encoding="utf-8")
            seen = engine.preview(program)
            made = engine.up(program)
            done[step] = {
                "preview": _preview(seen.exit_status, seen.plan),
                "up": {"exit": made.exit_status, "changes": made.changes},
                "state": _without(kubeconfig, state_by_urn(engine.export())),
                "again": _again(engine.preview(program).plan),
            }
        gone = engine.destroy()
        done["destroy"] = {"exit": gone.exit_status, "changes": gone.changes}
        return done

    def _json(self, name: str) -> Object:
        text = _replaced((self.folder / name).read_text(encoding="utf-8"), self.rewrite.recorded)
        read: Object = json.loads(text)
        return read

    def _counts(self, name: str) -> dict[str, int]:
        _, _, resources = (self.folder / name).read_text(encoding="utf-8").rpartition("\nResources:\n")
        assert resources, f"{name} counts no resources"
        return {WORDS[word]: int(number) for number, word in COUNT.findall(resources)}


def _preview(exit_status: int, plan: Object) -> Object:
    return {"exit": exit_status, "steps": steps_by_urn(plan), "changes": plan["changeSummary"]}


def _again(plan: Object) -> Object:
    return {"steps": {urn: step["op"] for urn, step in steps_by_urn(plan).items()}, "changes": plan["changeSummary"]}


def _replaced(text: str, pairs: dict[str, str]) -> str:
    for old, new in pairs.items():
        text = text.replace(old, new)
    return text


def _without(kubeconfig: str | None, value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return `value` with the kubeconfig as the recordings have it."""
    if kubeconfig is None:
        return value
    text = json.dumps(value).replace(json.dumps(kubeconfig)[1:-1], "<kubeconfig>")
    return json.loads(text)
