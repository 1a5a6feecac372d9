"""The embedded engine does with the recorded programs what the official engine did with them."""

import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import pytest
from contract_engines import EmbeddedEngine, Object
from normal_form import differences
from recorded_case import RecordedCase, Rewrite
from ruamel.yaml import YAML

DEVIATIONS: Final[Object] = YAML(typ="safe").load(Path(__file__).with_name("deviations.yaml"))  # pyright: ignore[reportUnknownMemberType] - ruamel has no types there

CASES: Final = ("components", "failure", "options", "random-and-local-command", "secrets")
CLUSTER_CASES: Final = ("custom-resources", "helm-release", "kubernetes-objects")


def check(case: str, recordings: Path, folder: Path, kubeconfig: str | None) -> None:
    """Compare everything, and let pass what is listed with its reason; a reason nobody needs any more fails, too."""
    listed: Object = DEVIATIONS.get(case, {})
    rewrite = Rewrite(**listed["rewrite"]) if "rewrite" in listed else Rewrite(reason="")
    recorded = RecordedCase(folder=recordings / case, rewrite=rewrite)
    for extra in (recordings / case).iterdir():
        if extra.is_dir():
            shutil.copytree(extra, folder / extra.name)
    found = differences(recorded.wanted(), recorded.run(EmbeddedEngine(folder=folder), kubeconfig))
    allowed: dict[str, str] = listed.get("deviations", {})
    unlisted = {place: how for place, how in found.items() if not any(fnmatchcase(place, item) for item in allowed)}
    assert not unlisted, "\n".join(f"{place}: {how}" for place, how in unlisted.items())
    idle = [pattern for pattern in allowed if not any(fnmatchcase(place, pattern) for place in found)]
    assert not idle, f"deviations.yaml lists for {case} what is no deviation: {idle}"


@pytest.mark.parametrize("case", CASES)
def test_a_recorded_program_gives_the_recorded_steps_and_state(case: str, recordings: Path, tmp_path: Path) -> None:
    check(case, recordings, tmp_path, None)


@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore:unclosed file.*kubeconfig:ResourceWarning")  # the recorded programs leave it open
@pytest.mark.parametrize("case", CLUSTER_CASES)
def test_a_recorded_program_gives_the_recorded_objects(
    case: str, recordings: Path, kubeconfig: str, tmp_path: Path
) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig, encoding="utf-8")
    check(case, recordings, tmp_path, kubeconfig)


def test_every_deviation_has_its_reason() -> None:
    reasons = [
        reason
        for listed in DEVIATIONS.values()
        for reason in [
            *listed.get("deviations", {}).values(),
            *([listed["rewrite"]["reason"]] if "rewrite" in listed else []),
        ]
    ]
    assert reasons
    assert all(len(reason.split()) > 3 for reason in reasons)
