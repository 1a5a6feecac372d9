"""The embedded engine does with the recorded programs what the official engine did with them."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import pytest
from contract_engines import EmbeddedEngine, Object
from normal_form import differences, state_by_urn
from recorded_case import RecordedCase, Rewrite
from ruamel.yaml import YAML
from ssh_server import SshHost, key_pair, serving

from labctl.engine.providers.command.connection import checked_connection
from labctl.graph.values import Secret, as_mapping

DEVIATIONS: Final[Object] = YAML(typ="safe").load(Path(__file__).with_name("deviations.yaml"))  # pyright: ignore[reportUnknownMemberType] - ruamel has no types there

CASES: Final = ("components", "failure", "options", "random-and-local-command", "secrets")
CLUSTER_CASES: Final = (
    "adopt-existing",
    "custom-resources",
    "default-provider-and-autoname",
    "helm-release",
    "kubernetes-objects",
)


def check(
    case: str, recordings: Path, folder: Path, kubeconfig: str | None, places: Mapping[str, str] | None = None
) -> None:
    """Compare everything, and let pass what is listed with its reason; a reason nobody needs any more fails, too.

    `places` says what is elsewhere here than where the programs were recorded.
    """
    listed: Object = DEVIATIONS.get(case, {})
    rewrite = Rewrite(**listed["rewrite"]) if "rewrite" in listed else Rewrite(reason="")
    moved = dict(places or {})
    rewrite = replace(rewrite, programs=rewrite.programs | moved, recorded=rewrite.recorded | moved)
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


@pytest.mark.filterwarnings("ignore:unclosed file.*key:ResourceWarning")  # the recorded programs leave it open
@pytest.mark.filterwarnings("ignore:This resource is deprecated.*CopyToRemote:DeprecationWarning")  # the SDK itself
def test_a_recorded_program_gives_the_recorded_commands_on_a_host(recordings: Path, tmp_path: Path) -> None:
    private, public = key_pair()
    made = tmp_path / "made"
    with serving(SshHost(authorized=(public,))) as host:
        (tmp_path / "key").write_text(private, encoding="utf-8")
        (tmp_path / "hostkey.pub").write_text(f"{host.public_key} root@vm\n", encoding="utf-8")
        places = {"/tmp/contract-remote": str(made), '"port": 2222': f'"port": {host.port}'}  # noqa: S108 - the recording's
        check("remote-command", recordings, tmp_path, None, places)
    assert [command.partition(" ")[0] for command in host.commands] == ["cat", "cat", "cat", "rm", "rm"]
    assert set(host.users) == {"root"}
    assert not made.exists()


def test_a_recorded_connection_has_the_defaults_that_ours_has(recordings: Path) -> None:
    exported = json.loads((recordings / "remote-command" / "1.export.json").read_text(encoding="utf-8"))
    (recorded,) = (state for urn, state in state_by_urn(exported).items() if urn.endswith("::cmd"))
    connection = json.loads(recorded["inputs"]["connection"]["sealed"])
    given = ("host", "port", "user", "privateKey", "hostKey")
    ours = checked_connection("command:remote:Command", {key: connection[key] for key in given} | {"privateKey": "k"})
    assert isinstance(ours, Secret)
    assert as_mapping(ours) == connection | {"privateKey": "k"}


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
