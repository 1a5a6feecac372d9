"""Texts that shells are fed: complete or nothing, values quoted, scripts by content."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.nodes.bootstrap_plan import in_order
from components.nodes.steps import (
    COMPONENTS,
    FILES,
    SCRIPTS,
    Lifecycle,
    Step,
    StepOutput,
    compose,
    compose_whole,
    installation,
    read_script,
    script_file,
    script_paths,
)

if TYPE_CHECKING:
    from pathlib import Path

    from components.nodes.steps import PlainValue

SYSTEM = Step(name="system", subject="cp-1", host="cp-1", values={})


def bash(text: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(["bash", "-s", "apply"], input=text.encode(), capture_output=True, check=False, timeout=60)  # noqa: S607
    # Of a text that ends within a word, bash names a character that is none.
    said = ended.stderr.decode(errors="replace")
    return subprocess.CompletedProcess(ended.args, ended.returncode, ended.stdout.decode(), said)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["A", "B", "C"]),
        st.one_of(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            st.tuples(st.text("a'\"$`\\\n {}"), st.text("é;|&")),
        ),
        min_size=1,
    )
)
def test_values_arrive_as_they_are(values: dict[str, PlainValue]) -> None:
    text = compose(SYSTEM, values)
    body = text[: text.index("if [[ ! -f")]
    shown = "\n".join(
        f'printf "%s\\0" "${{{name}[@]}}"' if isinstance(value, tuple) else f'printf "%s\\0" "${name}"'
        for name, value in sorted(values.items())
    )
    printed = bash(f"{body}\n{shown}\n}}\nmain\n")
    wanted = [part for _, value in sorted(values.items()) for part in (value if isinstance(value, tuple) else (value,))]
    assert printed.stdout.split("\0")[:-1] == [str(part) for part in wanted]


def test_a_text_that_is_cut_off_runs_nothing(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    text = compose_whole(SYSTEM, {}).replace('run_step system "$@"', f"touch {sign}")
    for length in range(0, len(text) - 40, 997):
        bash(text[:length])
        assert not sign.exists(), f"the first {length} characters did something"
    bash(text)
    assert sign.exists()


def test_a_host_without_the_scripts_says_what_helps() -> None:
    ended = bash(compose(SYSTEM, {"STEP_HOST": "cp-1"}))
    assert ended.returncode == 70
    assert "the scripts of cp-1 are gone" in ended.stderr
    assert "reconverge" in ended.stderr


@pytest.mark.parametrize("text", [installation(["lib", "system"]), compose_whole(SYSTEM, {"A": "x"})])
def test_texts_are_bash(text: str) -> None:
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0  # noqa: S607


def test_scripts_are_installed_with_their_content(tmp_path: Path) -> None:
    names = [path.stem for path in FILES.glob("*.sh")]
    text = installation(names, {"STEP_HOST": "cp-1"})
    text = text.replace("/usr/local/lib/research-compute/steps", str(tmp_path / "steps"))
    first = bash(text)
    assert first.returncode == 0, first.stderr
    for path in FILES.glob("*.sh"):
        assert (tmp_path / "steps" / script_file(path.stem)).read_text() == path.read_text()
    assert '"changed":[]' in bash(text).stdout
    shutil.rmtree(tmp_path / "steps")


def test_a_script_is_named_by_its_content() -> None:
    assert script_file("lib").startswith("lib-")
    assert script_file("lib") != script_file("packages")
    assert "run_step" in read_script("lib")


def test_steps_come_after_what_they_need_in_any_order() -> None:
    join = Step(
        name="join",
        subject="w",
        host="w",
        values={"CERTIFICATE": StepOutput(step="admit", host="w", key="certificate")},
        after=(("kubernetes", "w"), ("nothing", None)),
    )
    admit = Step(
        name="admit",
        subject="w",
        host="cp",
        values={},
        after=(("request", "w"),),
        lifecycle=Lifecycle.ONCE,
        generation=0,
    )
    request, kubernetes = (Step(name=name, subject="w", host="w", values={}) for name in ("request", "kubernetes"))
    one, other = in_order([join, admit, request, kubernetes]), in_order([kubernetes, request, admit, join])
    assert one == other
    names = [step.name for step in one]
    assert names.index("request") < names.index("admit") < names.index("join")
    assert names.index("kubernetes") < names.index("join")
    assert admit.resource == "w-admit-0"


def test_a_script_s_name_is_taken_once_among_all_components() -> None:
    found = [path.stem for path in COMPONENTS.glob(SCRIPTS)]
    assert len(found) == len(set(found))
    assert {"lib", "pool"} <= script_paths().keys() == set(found)
