"""One contract case: programs, one per step, and what any engine must say, do and store at each, as data."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, cast

from contract_engines import ContractEngine, Object, Outcome, Preview
from normal_form import MADE, PROVIDER_PREFIX, differences, state_by_urn, steps_by_urn
from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

CASES: Final = Path(__file__).with_name("cases")
LOG: Final = "log"
"""File in the project's folder that commands of the cases write to, a line each."""
STACK_RESOURCE: Final = "contract-dev"

Text = Annotated[str, Field(min_length=1)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StepData(_Data):
    """One step of a preview."""

    op: Text
    diff: dict[str, str] | None = Field(default=None, description="kind of each changed path (detailedDiff)")
    because: list[str] = Field(default=[], description="diffReasons")
    reasons: list[str] = Field(default=[], description="replaceReasons")

    def shape(self) -> Object:
        """Return it as a preview says it."""
        return {"op": self.op, "diff": self.diff, "because": self.because, "reasons": self.reasons}


class PreviewData(_Data):
    """What a preview must say."""

    exit: int = 0
    steps: dict[str, StepData] = Field(default={}, description="by logical name; all that change something")
    changes: dict[str, int] | None = Field(description="changeSummary; None: not compared")
    says: list[str] = Field(default=[], description="patterns that the diagnostics must match")


class UpData(_Data):
    """What an update or a destruction must come to."""

    exit: int = 0
    changes: dict[str, int] | None = Field(default=None, description="None: what the preview announced, if it did")
    says: list[str] = Field(default=[], description="patterns that what was said must match")


class DestroyData(UpData):
    """What the destruction must come to."""

    log: list[str] | None = Field(default=None, description="lines the commands wrote, in this order")


class ClusterData(_Data):
    """One object as the API server must have it."""

    path: Text
    has: Object | None = Field(default=None, description="a part of it; None: it must not be there")


class RoundData(_Data):
    """What happens with one program."""

    files: dict[str, str] = Field(default={}, description="written to the project's folder first")
    preview: PreviewData
    official: PreviewData | None = Field(default=None, description="of the official engine, where it says less or more")
    up: UpData = UpData()
    log: list[str] | None = Field(default=None, description="lines the commands wrote, in this order")
    log_order: list[list[str]] = Field(default=[], description="lines that come in this order, others between them")
    state: dict[str, Object] | None = Field(default=None, description="by logical name: exactly these, a part of each")
    again: dict[str, str] = Field(default={}, description="ops of a second preview, by logical name")
    cluster: list[ClusterData] = []


class CaseData(_Data):
    """What ``expected.yaml`` says."""

    about: Text
    cluster: bool = Field(default=False, description="whether it needs an API server")
    embedded_only: str = Field(default="", description="why the official engine is not asked")
    node: bool = Field(default=False, description="whether a Node named after the namespace is there beforehand")
    config: dict[str, str] = {}
    secrets: dict[str, str] = Field(default={}, description="configuration values that are secret")
    canaries: list[str] = Field(default=[], description="texts that must be in nothing that is stored or said")
    rounds: list[RoundData]
    destroy: DestroyData


@dataclass(frozen=True)
class Case:
    """A folder of `CASES`."""

    name: str
    data: CaseData
    folder: Path

    @property
    def programs(self) -> list[Path]:
        """Return the programs, by step."""
        found = sorted(self.folder.glob("step*.py"), key=lambda path: int(path.stem.removeprefix("step")))
        assert len(found) == len(self.data.rounds), (
            f"{self.name}: {len(found)} programs, {len(self.data.rounds)} rounds"
        )
        return found


def read_case(name: str, namespace: str = "some-name") -> Case:
    """Return the case `name`; ``${namespace}`` in its expectations is `namespace`."""
    folder = CASES / name
    text = (folder / "expected.yaml").read_text(encoding="utf-8").replace("${namespace}", namespace)
    return Case(name, CaseData.model_validate(YAML(typ="safe").load(text)), folder)  # pyright: ignore[reportUnknownMemberType] - ruamel has no types there


@dataclass
class Checker:
    """Runs a case on an engine and gathers what is not as it must be."""

    case: Case
    engine: ContractEngine
    found: dict[str, str] = field(default_factory=dict[str, str])

    def prepare(self) -> None:
        """Lay out what the programs find beside them."""
        for extra in self.case.folder.iterdir():
            if extra.is_dir():
                shutil.copytree(extra, self.engine.folder / extra.name)

    def round(self, index: int) -> None:
        """Preview and apply the program of round `index` and compare all that can be seen."""
        data, program = self.case.data.rounds[index], self.case.programs[index]
        for name, content in data.files.items():
            (self.engine.folder / name).write_text(content, encoding="utf-8")
        (self.engine.folder / LOG).write_text("", encoding="utf-8")
        place = f"{self.case.name}, step {index + 1}"
        wanted = data.official if data.official is not None and self.engine.official else data.preview
        self._preview(f"{place}, preview", wanted, self.engine.preview(program))
        announced = UpData(exit=data.up.exit, changes=data.up.changes or data.preview.changes, says=data.up.says)
        self._outcome(f"{place}, up", announced, self.engine.up(program))
        self._log(place, data.log, data.log_order)
        exported = self.engine.export()
        self._hidden(f"{place}, export", json.dumps(exported))
        if data.state is not None:
            self._state(f"{place}, state", data.state, exported)
        seen = steps_by_urn(self.engine.preview(program).plan)
        self._compare(f"{place}, again", data.again, {_name(urn): step["op"] for urn, step in seen.items()})

    def destroy(self) -> None:
        """Delete everything; nothing is left in the state unless the case says that this fails."""
        (self.engine.folder / LOG).write_text("", encoding="utf-8")
        data = self.case.data.destroy
        place = f"{self.case.name}, destroy"
        self._outcome(place, data, self.engine.destroy())
        self._log(place, data.log)
        if data.exit == 0:
            left = [urn for urn in state_by_urn(self.engine.export()) if not _is_hidden(urn)]
            self._compare(f"{self.case.name}, after destroy", [], left)

    def _preview(self, place: str, wanted: PreviewData, seen: Preview) -> None:
        steps = {_name(urn): _shape(step) for urn, step in steps_by_urn(seen.plan).items()}
        changes = None if wanted.changes is None else seen.plan["changeSummary"]
        got = {"exit": seen.exit_status, "steps": steps, "changes": changes}
        shapes = {name: step.shape() for name, step in wanted.steps.items()}
        self._compare(place, {"exit": wanted.exit, "steps": shapes, "changes": wanted.changes}, got)
        diagnostics: list[Object] = seen.plan.get("diagnostics") or []
        said = "\n".join(item["message"] for item in diagnostics)
        self._says(place, wanted.says, said)
        self._hidden(place, json.dumps(seen.plan))

    def _outcome(self, place: str, wanted: UpData, seen: Outcome) -> None:
        changes = None if wanted.changes is None else dict(seen.changes)
        self._compare(
            place, {"exit": wanted.exit, "changes": wanted.changes}, {"exit": seen.exit_status, "changes": changes}
        )
        if seen.exit_status != wanted.exit:
            self.found[f"{place}, said"] = seen.text
        self._says(place, wanted.says, seen.text)
        self._hidden(place, seen.text)

    def _log(self, place: str, wanted: list[str] | None, orders: Sequence[list[str]] = ()) -> None:
        lines = (self.engine.folder / LOG).read_text(encoding="utf-8").splitlines()
        if wanted is not None:
            self._compare(f"{place}, log", wanted, lines)
        for order in orders:
            if [line for line in lines if line in order] != order:
                self.found[f"{place}, log"] = f"wanted the order {order}, got {lines}"

    def _state(self, place: str, wanted: Mapping[str, Object], exported: Object) -> None:
        got = {_name(key): item for key, item in state_by_urn(exported).items() if not _is_hidden(key)}
        got.pop(STACK_RESOURCE, None) if STACK_RESOURCE not in wanted else None
        self._compare(place, sorted(wanted), sorted(got))
        for name in wanted.keys() & got.keys():
            self._compare(f"{place} > {name}", wanted[name], part_of(wanted[name], got[name]))

    def _says(self, place: str, patterns: list[str], said: str) -> None:
        for pattern in patterns:
            if not re.search(pattern, said):
                self.found[f"{place}, said"] = f"wanted {pattern!r}, got {said!r}"

    def _hidden(self, place: str, text: str) -> None:
        for canary in self.case.data.canaries:
            if canary in text:
                self.found[f"{place}, secrets"] = f"{canary} is there for everyone to read"

    def _compare(self, place: str, wanted: Any, got: Any) -> None:  # noqa: ANN401 - JSON
        self.found |= differences(wanted, got, place)


def part_of(wanted: Any, got: Any) -> Any:  # noqa: ANN401 - JSON
    """Return of `got` what `wanted` speaks of; ``<made>`` is any value, and ``null`` in an object absence."""
    if wanted == MADE and got is not None:
        return MADE
    if isinstance(wanted, dict) and isinstance(got, dict):
        asked, held = cast("Object", wanted), cast("Object", got)
        return {key: part_of(value, held.get(key)) for key, value in asked.items()}
    if isinstance(wanted, list) and isinstance(got, list):
        before, after = cast("list[Any]", wanted), cast("list[Any]", got)
        if len(before) == len(after):
            return [part_of(one, other) for one, other in zip(before, after, strict=True)]
        return after
    return cast("object", got)


def _shape(step: Object) -> Object:
    detailed = step.get("detailedDiff")
    return {
        "op": step["op"],
        "diff": None if detailed is None else {path: item["kind"] for path, item in detailed.items()},
        "because": step.get("diffReasons", []),
        "reasons": step.get("replaceReasons", []),
    }


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _is_hidden(key: str) -> bool:
    """Tell whether this is a default provider, which no program mentions."""
    _, _, kind, name = key.split("::", 3)
    return kind.startswith(PROVIDER_PREFIX) and name.startswith("default")


__all__ = ["CASES", "Case", "CaseData", "Checker", "ClusterData", "part_of", "read_case"]
