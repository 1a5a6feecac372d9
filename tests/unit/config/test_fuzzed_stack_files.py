"""Whatever somebody does to a stack file: what is wrong is said in words, or nothing is; nothing is touched."""

from __future__ import annotations

import resource
import shutil
import threading
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from stack_mutations import BASES, PARTS, broken_bytes, broken_structures

from labctl.cli import run
from labctl.exit_codes import ExitCode
from stacks.errors import StackFileError
from stacks.loading import LARGEST_BYTES, load_cluster, load_stack_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES: Final = 128
"""Broken files of one sort in one part; with two sorts and eight parts more than 2,000."""
ASKED_AGAIN: Final = 20
"""One in so many of the wrong files is also given to the command line."""
LONGEST: Final = 600
"""Characters of one problem; what a person wrote is quoted, but not at any length."""

fuzzed = settings(
    max_examples=FILES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture
def project(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a stack file to be broken, and nothing that could be reached."""
    shutil.copy(root / "Pulumi.yaml", tmp_path)
    (tmp_path / "__main__.py").write_text("raise AssertionError('the program ran')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    return tmp_path


def problems_of(path: Path) -> tuple[str, ...]:
    """Return what is said of a file; none where it is a valid one."""
    try:
        load_cluster(load_stack_file(path))
    except StackFileError as error:
        found = error
    else:
        return ()
    assert found.problems
    for problem in found.problems:
        assert problem.what.strip()
        assert problem.remedy.strip()
        assert len(problem.what) < LONGEST
    assert str(found).encode("utf-8")  # it can be printed
    return tuple(str(problem) for problem in found.problems)


def touched(project: Path) -> set[str]:
    """Return what is in the project now that was not, the logs of runs aside."""
    known = {"Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py"}
    found = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()} - known
    return {name for name in found if "log" not in name and "__pycache__" not in name}


class Asker:
    """Asks the command line about some of the wrong files."""

    def __init__(self, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.path = project / "Pulumi.dev.yaml"
        self._project = project
        self._capfd = capfd
        self._wrong = 0
        self._valid = 0

    def __call__(self, content: bytes) -> None:
        self.path.write_bytes(content)
        problems = problems_of(self.path)
        assert self.path.read_bytes() == content
        assert touched(self._project) == set()
        if problems:
            self._wrong += 1
            if self._wrong % ASKED_AGAIN == 1:
                self.ask(problems)
        else:
            self._valid += 1

    def ask(self, problems: tuple[str, ...]) -> None:
        for verb in (["preview", "--stack", "dev"], ["up", "--stack", "dev", "--yes"]):
            self._capfd.readouterr()
            code = run(verb)
            said = self._capfd.readouterr()
            assert code == ExitCode.INVALID, said
            assert "Traceback" not in said.out + said.err
            assert "nothing was touched" in said.err
            assert "".join(problems[0].split()) in "".join(said.err.split())
        assert touched(self._project) == set()

    def check(self) -> None:
        assert self._wrong > FILES / 2, "hardly any of these files is broken"


@pytest.mark.parametrize("part", range(PARTS))
def test_a_changed_structure(part: int, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asker = Asker(project, capfd)
    fuzzed(given(broken_structures(part))(asker.__call__))()
    asker.check()


@pytest.mark.parametrize("part", range(PARTS))
def test_damaged_bytes(part: int, project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asker = Asker(project, capfd)
    fuzzed(given(broken_bytes(part))(asker.__call__))()
    asker.check()


HEAD: Final = b"config:\n  research-compute:cluster:\n    "
LEVELS: Final = 24
BOMB: Final = b"a0: &a0 x\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (level, level, b", ".join([b"*a%d" % (level - 1)] * 9)) for level in range(1, LEVELS)
)
"""Nine to the 23rd values, if anybody wrote them out."""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file holds no keys"),
        (b"\x00" * 4096, "U+0000"),
        (BOMB, "aliases make more than"),
        (b"a: &a {b: *a}\n", "levels deep"),
        (HEAD + b"[" * 300_000, "levels deep"),
        (HEAD + b"{a: " * 45 + b"{a: " * 45, "not YAML|levels deep"),
        (HEAD + b"name: " + b"9" * 300_000 + b"\n", "too many digits"),
        (HEAD + b"name: " + b"9_" * 150_000 + b"\n", "too many digits"),
        (HEAD + b'name: "\\ud800"\n', "surrogate|not YAML"),
        (HEAD + b'name: "\\UFFFFFFFF"\n', "not YAML"),
        (HEAD + b"name: &a lab\n    domain: &a lab.example\n", "an anchor is there twice"),
        (b"config: !!set {a}\n", "means nothing here"),
        (b"config:\n\t- a\n", "not YAML"),
        ("config: {}\n".encode("utf-16"), "not UTF-8"),
        (b"a: 1\n---\nb: 2\n", "not YAML"),
        (b"# " + b"x" * LARGEST_BYTES, "larger than"),
        (b"x: 1\n" * (50 * 1024 * 1024 // 5), "larger than"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_what_would_take_all_there_is(content: bytes, says: str, project: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = project / "Pulumi.dev.yaml"
    path.write_bytes(content)
    (problem, *_) = problems_of(path)
    assert any(part in problem for part in says.split("|")), problem
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 300 * 1024
    assert touched(project) == set()


def test_a_byte_order_mark_is_no_part_of_the_file(project: Path) -> None:
    path = project / "Pulumi.dev.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + BASES[0].read_bytes())
    assert problems_of(path) == ()


def test_a_file_nobody_may_read_and_one_that_is_none(project: Path) -> None:
    path = project / "Pulumi.dev.yaml"
    path.mkdir()
    assert "cannot be read" in problems_of(path)[0]


def test_it_is_said_in_any_thread(project: Path) -> None:
    """Deep nesting ends in words also where the stack is small, as in the threads of an editor's server."""
    path = project / "Pulumi.dev.yaml"
    path.write_bytes(HEAD + b"[" * 5000)
    said: list[tuple[str, ...]] = []
    ask: Callable[[], None] = lambda: said.append(problems_of(path))  # noqa: E731 - what the thread runs
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "levels deep" in said[0][0]
