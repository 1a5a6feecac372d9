"""What the embedded engine refuses: features it lacks, destruction nobody named, a passphrase that is wrong."""

import re
from pathlib import Path
from typing import Final

import pytest
from contract_api import Api
from contract_engines import PROJECT, EmbeddedEngine, Object
from ruamel.yaml import YAML

from labctl.engine.state import PassphraseMissingError, WrongPassphraseError

HERE: Final = Path(__file__).parent
REFUSED: Final[Object] = YAML(typ="safe").load(HERE / "refused" / "expected.yaml")  # pyright: ignore[reportUnknownMemberType] - ruamel has no types there
SEALED: Final = HERE / "cases" / "sealed-values" / "step1.py"
SPACE: Final = HERE / "guarded"


def names(exported: Object) -> list[str]:
    return sorted(item["urn"].split("::")[3] for item in exported["deployment"].get("resources", []))


def test_every_refused_program_has_its_message() -> None:
    assert sorted(REFUSED) == sorted(path.stem for path in (HERE / "refused").glob("*.py"))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_the_engine_lacks_is_refused_by_name(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine = EmbeddedEngine(folder=tmp_path)
    program = HERE / "refused" / f"{name}.py"
    seen = engine.preview(program)
    (said,) = [item["message"] for item in seen.plan["diagnostics"]]
    assert seen.exit_status == 1
    assert re.search(REFUSED[name], said)
    made = engine.up(program)
    assert made.exit_status == 1
    assert re.search(REFUSED[name], made.text)
    assert "Traceback" not in made.text
    assert capfd.readouterr().err == ""


def test_a_cluster_that_no_provider_names_is_nobodys(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "of-somebody"))
    engine = EmbeddedEngine(folder=tmp_path)
    made = engine.up(recordings / "adopt-existing" / "step1.py")
    assert made.exit_status == 1
    assert re.search("::default-ns: no cluster is named: .* neither KUBECONFIG nor ~/.kube/config is read", made.text)
    drawn = engine.preview(recordings / "default-provider-and-autoname" / "step1.py")
    assert drawn.exit_status == 1
    assert "invents no names" in drawn.plan["diagnostics"][0]["message"]


def test_a_wrong_passphrase_changes_nothing(tmp_path: Path) -> None:
    right = EmbeddedEngine(folder=tmp_path, config={f"{PROJECT}:given": "canary"}, secret_keys=(f"{PROJECT}:given",))
    assert right.up(SEALED).exit_status == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    wrong = EmbeddedEngine(folder=tmp_path, config=right.config, passphrase="another")
    for attempt in (wrong.preview, wrong.up):
        with pytest.raises(WrongPassphraseError, match="the test"):
            attempt(SEALED)
    with pytest.raises(WrongPassphraseError):
        wrong.destroy()
    with pytest.raises(PassphraseMissingError):
        EmbeddedEngine(folder=tmp_path, passphrase=None).export()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert right.destroy().exit_status == 0


@pytest.mark.cluster
def test_a_namespace_is_destroyed_only_by_name(tmp_path: Path, namespace: str, kubeconfig: str, api: Api) -> None:
    (tmp_path / "kubeconfig").write_text(kubeconfig, encoding="utf-8")
    config = {f"{PROJECT}:namespace": namespace}
    closed = EmbeddedEngine(folder=tmp_path, config=config, allowed=())
    with_space, without_space, renamed = (SPACE / f"step{number}.py" for number in (1, 2, 3))
    assert closed.up(with_space).exit_status == 0
    for program in (without_space, renamed):
        refused = closed.up(program)
        assert refused.exit_status == 1
        assert re.search(rf"a Namespace \({namespace}\).*--allow-destroy 'urn:.*::space'", refused.text)
    refused = closed.destroy()
    assert refused.exit_status == 1
    assert "--allow-destroy" in refused.text
    live = api.find(f"/api/v1/namespaces/{namespace}")
    assert live is not None
    assert names(closed.export()) == ["cluster", "contract-dev", "space"]
    named = EmbeddedEngine(folder=tmp_path, config=config, allowed=("urn:*::space",))
    assert named.up(without_space).exit_status == 0
    assert api.find(f"/api/v1/namespaces/{namespace}") is None
    assert names(closed.export()) == ["cluster", "contract-dev"]
    assert closed.destroy().exit_status == 0
