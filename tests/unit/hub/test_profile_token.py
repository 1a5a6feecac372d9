"""The token of a user's sign-in: what a profile with one adds to its servers, and what their pods are told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hub_labs import FACTS, IMAGES, hub, profile

from components.hub.admission.planned import server_plan
from components.hub.files import keep_token
from components.hub.files.lab_hub.access_token import end_of, is_good, stamped
from components.hub.profiles.checks import ProfileFacts, check_profiles
from components.hub.profiles.plan import profile_list
from components.hub.values import hub_values

TOKEN: dict[str, object] = {"token": {}}


def override(**changes: object) -> Mapping[str, object]:
    (entry,) = profile_list(hub(profiles=[profile(**TOKEN, **changes)]), FACTS)
    return cast("Mapping[str, object]", entry["kubespawner_override"])


def beside(settings: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    return cast("Sequence[Mapping[str, object]]", settings["extra_containers"])


def test_the_server_reads_what_the_container_beside_it_writes() -> None:
    made = override()
    (keeper,) = beside(made)
    assert keeper["name"] == "token"
    assert keeper["image"] == str(IMAGES["minimal-notebook"])
    command = cast("Sequence[str]", keeper["command"])
    mounts = {each["name"]: each for each in cast("Sequence[Mapping[str, object]]", keeper["volumeMounts"])}
    assert "readOnly" not in mounts["lab-token"]
    assert command[2] == f"{mounts['lab-token-program']['mountPath']}/keep_token.py"
    assert cast("Mapping[str, str]", made["environment"])["BEARER_TOKEN_FILE"] == command[3]
    own = cast("Mapping[str, Mapping[str, object]]", made["volume_mounts"])["lab-token"]
    assert own["readOnly"] is True
    assert command[3] == f"{own['mountPath']}/token"
    volumes = cast("Mapping[str, Mapping[str, Mapping[str, object]]]", made["volumes"])
    assert volumes["lab-token"]["emptyDir"]["medium"] == "Memory"
    context = cast("Mapping[str, object]", keeper["securityContext"])
    assert context["readOnlyRootFilesystem"] is True


def test_each_image_keeps_its_own_token() -> None:
    images = [
        {"key": "a", "name": "A", "image": "minimal-notebook", "default": True},
        {"key": "b", "name": "B", "image": "pytorch-notebook"},
    ]
    sidecar = {"name": "x", "image": "minimal-notebook", "resources": {"guarantee": {"cpu": "1m", "memory": "1Mi"}}}
    config = hub(profiles=[profile(**TOKEN, image=None, options={"image": images}, sidecars=[sidecar])])
    (entry,) = profile_list(config, FACTS)
    assert "extra_containers" not in cast("Mapping[str, object]", entry["kubespawner_override"])
    options = cast("Mapping[str, Mapping[str, Mapping[str, Mapping[str, object]]]]", entry["profile_options"])
    for key, image in (("a", "minimal-notebook"), ("b", "pytorch-notebook")):
        chosen = cast("Mapping[str, object]", options["image"]["choices"][key]["kubespawner_override"])
        assert [each["name"] for each in beside(chosen)] == ["x", "token"]
        assert beside(chosen)[1]["image"] == str(IMAGES[image]) == chosen["image"]


def test_without_it_nothing_is_different() -> None:
    values = hub_values(hub(), FACTS)
    assert "tokens" not in cast("Mapping[str, object]", values["custom"]["lab"])
    assert "lab-token" not in json.dumps(values["singleuser"])


def test_its_volumes_are_admitted_and_its_profiles_known() -> None:
    values = hub_values(hub(profiles=[profile(), profile(**TOKEN, slug="tools", default=False)]), FACTS)
    lab = cast("Mapping[str, object]", values["custom"]["lab"])
    assert lab["tokens"] == {"default": "one", "profiles": ["tools"]}
    assert "lab-token-program" in server_plan(values).config_maps


@pytest.mark.parametrize(
    ("changes", "kind", "what"),
    [
        ({}, {"kind": "dummy"}, "profiles[0].token: the sign-in dummy has no access token that command-line tools"),
        (
            {
                "sidecars": [
                    {
                        "name": "token",
                        "image": "minimal-notebook",
                        "resources": {"guarantee": {"cpu": "1m", "memory": "1Mi"}},
                    }
                ]
            },
            None,
            "profiles[0].sidecars[0].name: token is the name of the container that keeps the token",
        ),
        (
            {"environment": {"BEARER_TOKEN_FILE": "/x"}},
            None,
            "profiles[0].environment.BEARER_TOKEN_FILE: BEARER_TOKEN_FILE follows from token",
        ),
    ],
)
def test_what_does_not_fit_together(changes: Mapping[str, object], kind: object, what: str) -> None:
    more = {} if kind is None else {"authentication": kind}
    config = hub(profiles=[profile(**TOKEN, **changes)], **more)
    (found,) = [str(problem) for problem in check_profiles(config, ProfileFacts(images=IMAGES))]
    assert found.startswith(what)


@pytest.mark.parametrize(
    ("lasts", "left", "good"), [(3600, 61, True), (3600, 59, False), (3, 1.6, True), (3, 1.4, False), ("300", 61, True)]
)
def test_a_token_is_renewed_before_it_ends(lasts: object, left: float, *, good: bool) -> None:
    state = {"token_response": stamped({"access_token": "a", "expires_in": lasts}, 1000.0)}
    end = end_of(state) or 0.0
    assert end == 1000.0 + float(str(lasts))
    assert is_good(state, end - left) is good


@pytest.mark.parametrize("answer", [{}, {"expires_in": None}, {"expires_in": "soon"}, {"expires_in": True}])
def test_a_token_without_an_end_is_never_good(answer: Mapping[str, object]) -> None:
    state = {"token_response": stamped(answer, 1000.0)}
    assert end_of(state) is None
    assert not is_good(state, 1000.0)
    assert not is_good(None, 1000.0)


@dataclass
class Container:
    name: str
    env: list[SimpleNamespace] | None = field(default_factory=list[SimpleNamespace])


def test_only_the_tokens_container_is_told_how_to_ask_the_hub() -> None:
    pytest.importorskip("jupyterhub", reason="requirements-dev.txt")
    tokens = pytest.importorskip("components.hub.files.lab_hub.tokens")
    shared = ["JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_USER"]
    settings = {"default": "plain", "profiles": ["tools"]}

    def told(chosen: Mapping[str, object]) -> dict[str, list[str]]:
        server = Container("notebook", [SimpleNamespace(name=name) for name in (*shared, "OTHER")])
        pod = SimpleNamespace(spec=SimpleNamespace(containers=[server, Container("beside"), Container("token", None)]))
        made = tokens.share_hub(SimpleNamespace(user_options=chosen), pod, settings)
        return {each.name: [one.name for one in each.env or ()] for each in made.spec.containers[1:]}

    assert told({"profile": "tools"}) == {"beside": [], "token": shared}
    # A sidecar of another profile that happens to have the name is not told.
    assert told({}) == told({"profile": "plain"}) == {"beside": [], "token": []}


def test_the_program_asks_again_in_time_and_not_all_the_time() -> None:
    # The hub renews with a minute left, or half the life.
    for life in (3, 10, 60, 90, 119, 120, 300, 3600):
        left = life - keep_token.wait_of(life)
        assert left < min(60, life / 2) or keep_token.wait_of(life) == keep_token.MOST_SECONDS
    assert keep_token.wait_of(-5) == 1


class EndedError(Exception):
    """The program's next pause."""


@pytest.mark.parametrize(
    ("problem", "left", "stays"),
    [(keep_token.RefusedError(403), 100, False), (OSError(), 100, True), (OSError(), -1, False)],
)
def test_the_file_goes_when_the_hub_says_no_and_stays_while_it_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception, left: float, *, stays: bool
) -> None:
    file, now = tmp_path / "token", 1000.0
    answers: list[Exception | tuple[str, float]] = [("secret", now + left), problem]

    def ask(_address: str, _key: str) -> tuple[str, float]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sleep(_seconds: float) -> None:
        if not answers:
            raise EndedError
        assert file.read_text() == "secret"
        assert file.stat().st_mode & 0o777 == 0o600

    monkeypatch.setattr(keep_token, "ask", ask)
    monkeypatch.setattr(keep_token.time, "sleep", sleep)
    monkeypatch.setattr(keep_token.time, "time", lambda: now)
    with pytest.raises(EndedError):
        keep_token.keep(file, "http://hub", "key")
    assert file.exists() is stays
    assert not file.with_name("token.new").exists()


def test_the_program_runs_with_nothing_but_python() -> None:
    source = Path(keep_token.__file__).read_text(encoding="utf-8")
    lines = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    allowed = {"__future__", "json", "os", "signal", "sys", "time", "urllib", "pathlib"}
    assert {line.split()[1].partition(".")[0] for line in lines} == allowed
