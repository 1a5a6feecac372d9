"""The scripts' own library, run by a real bash in a folder of the test's."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from script_workshop import FAILED, REFUSED

from components.nodes.steps import script_paths

if TYPE_CHECKING:
    from script_workshop import Workshop

# --- files


def test_file_is_written_once(workshop: Workshop) -> None:
    body = r"printf 'one\n\ntwo\n\n' | want_file " '"$ROOT/a b/c" 0640'
    first, second = workshop.run(body), workshop.run(body)
    path = workshop.root / "a b" / "c"
    assert first.changed == [f"file {path}"]
    assert second.changed == []
    assert path.read_text() == "one\n\ntwo\n\n"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert [item.name for item in path.parent.iterdir()] == ["c"]


@pytest.mark.parametrize("damage", ["content", "mode", "link"])
def test_file_is_mended(workshop: Workshop, damage: str) -> None:
    body = 'want_file "$ROOT/f" 0600 <<<"right"'
    workshop.run(body)
    path = workshop.root / "f"
    if damage == "content":
        path.write_text("wrong")
    elif damage == "mode":
        path.chmod(0o644)
    else:
        path.rename(workshop.root / "elsewhere")
        path.symlink_to(workshop.root / "elsewhere")
    assert workshop.run(body).changed == [f"file {path}"]
    assert path.read_text() == "right\n"
    assert path.stat().st_mode & 0o7777 == 0o600
    assert not path.is_symlink()
    assert workshop.run(body).changed == []


def test_folder_in_the_way_of_a_file(workshop: Workshop) -> None:
    (workshop.root / "f").mkdir()
    run = workshop.run('want_file "$ROOT/f" 0644 <<<x')
    assert run.code == FAILED
    assert f"failed: {workshop.root}/f is a folder" in run.err
    assert run.out == ""


def test_file_is_old_or_new_and_never_half(workshop: Workshop) -> None:
    body = 'want_file "$ROOT/f" 0600 <<<"$TEXT"'
    workshop.run(body, TEXT="old")
    # The machine stops when the new content has been written, and before it has its name.
    workshop.stub("sync", 'kill -9 "$PPID"')
    assert workshop.run(body, TEXT="new").code == -9
    assert (workshop.root / "f").read_text() == "old\n"
    (workshop.stubs / "sync").unlink()
    assert workshop.run(body, TEXT="new").changed == [f"file {workshop.root}/f"]
    assert (workshop.root / "f").read_text() == "new\n"
    assert [item.name for item in workshop.root.iterdir()] == ["f"]


ALL_KINDS = """
printf 'x' | want_file "$ROOT/file" 0640
want_folder "$ROOT/folder" 0700
want_link "$ROOT/link" target
want_absent "$ROOT/gone"
fetch http://127.0.0.1:9/never 0000000000000000000000000000000000000000000000000000000000000000 "$ROOT/fetched"
want_packages no-such-package-for-sure
want_service no-such-unit-for-sure.service
marker_set mark 1
act touch "$ROOT/acted"
changed 'something of the script'
result key value
"""


def test_check_changes_nothing_and_says_what_would_change(workshop: Workshop) -> None:
    workshop.stub("systemctl", "exit 3")
    workshop.stub("dpkg-query", "exit 1")
    (workshop.root / "gone").write_text("still here")
    body = workshop.text(ALL_KINDS)
    before = workshop.tree()
    run = workshop.feed(body, "check")
    assert workshop.tree() == before
    root = workshop.root
    assert run.changed == [
        f"file {root}/file",
        f"folder {root}/folder",
        f"link {root}/link",
        f"absent {root}/gone",
        f"file {root}/fetched",
        "package no-such-package-for-sure",
        "enabled no-such-unit-for-sure.service",
        "service no-such-unit-for-sure.service",
        "something of the script",
    ]
    assert run.report["mode"] == "check"
    assert run.report["result"] == {"key": "value"}


@pytest.mark.parametrize("path", ["/", "/etc", "relative/path", "/tmp/../etc/passwd"])  # noqa: S108 - refused names
def test_nothing_near_the_root_is_removed(workshop: Workshop, path: str) -> None:
    workshop.stub("rm", "echo removed >&2")
    run = workshop.run(
        f"cd /; if [[ -e {path} ]]; then want_absent {path}; else fail '{path} is nothing to remove'; fi"
    )
    assert run.code == FAILED
    assert "is nothing to remove" in run.err
    assert "removed" not in run.err


def test_link_is_switched(workshop: Workshop) -> None:
    body = 'want_link "$ROOT/current" "$TARGET"'
    assert workshop.run(body, TARGET="1").changed == [f"link {workshop.root}/current"]
    assert workshop.run(body, TARGET="1").changed == []
    assert workshop.run(body, TARGET="2").changed == [f"link {workshop.root}/current"]
    assert str((workshop.root / "current").readlink()) == "2"


def test_marker_outlives_the_run(workshop: Workshop) -> None:
    assert workshop.run('if marker_get m; then fail "too early"; fi; marker_set m 7').code == 0
    assert workshop.run('result m "$(marker_get m)"').report["result"] == {"m": "7"}


# --- what a run says

ODD = [
    'quote " backslash \\ slash /',
    "tab\tnewline\nreturn\r",
    "é ✓ 🙂",
    "".join(chr(code) for code in range(1, 128)),
    "$(touch broken) `touch broken` ${HOME} & %s %d",
    "x" * 20_000,
    "",
]


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_report_is_json_whatever_it_holds(workshop: Workshop, text: str) -> None:
    run = workshop.run('changed "$TEXT"; result "$TEXT" "$TEXT"', TEXT=text)
    assert run.changed == [text]
    assert run.report["result"] == {text: text}
    assert run.report["step"] == "try"
    assert run.report["host"] == "cp-1"


def test_report_is_json_with_bytes_that_are_no_text(workshop: Workshop) -> None:
    run = workshop.run(r"""result all "$(printf '%b' "$(printf '\\x%02x' {1..255})")" """)
    assert run.report["result"] == {"all": "".join(chr(code) for code in range(1, 256))}


def test_only_the_report_is_on_stdout(workshop: Workshop) -> None:
    run = workshop.run("echo hello; log there; result a b")
    assert run.report["result"] == {"a": "b"}
    assert "hello\nthere\n" in run.err


@pytest.mark.parametrize(("word", "code"), [("refuse", REFUSED), ("fail", FAILED)])
@pytest.mark.parametrize("where", ["{}", "x=$({})", "( {} )", "printf x | {{ cat >/dev/null; {}; }}"])
def test_refusals_and_failures(workshop: Workshop, word: str, code: int, where: str) -> None:
    run = workshop.run(where.format(f"{word} 'no good'") + '\ntouch "$ROOT/after"')
    assert run.code == code
    assert run.err.strip() == f"{'refused' if word == 'refuse' else 'failed'}: no good"
    assert run.out == ""
    assert not (workshop.root / "after").exists()


def test_unexpected_error_names_program_and_place_but_no_argument(workshop: Workshop) -> None:
    workshop.stub("gadget", "exit 9")
    run = workshop.run('deep() { gadget --password sesame; }\ndeep\ntouch "$ROOT/after"')
    assert run.code == FAILED
    assert "failed: step try, deep, line " in run.err
    assert "gadget ended with status 9" in run.err
    assert "sesame" not in run.err
    assert not (workshop.root / "after").exists()


@pytest.mark.parametrize("mode", ["", "aply", "apply --now"])
def test_unknown_mode_does_nothing(workshop: Workshop, mode: str) -> None:
    run = workshop.run('touch "$ROOT/done"', mode)
    assert run.code == REFUSED
    assert not (workshop.root / "done").exists()


def test_text_cut_off_in_transfer_runs_nothing(workshop: Workshop) -> None:
    text = workshop.text('touch "$ROOT/done"; result a b')
    call = text.rindex('main "$@"')
    ends = [*range(1, call, max(1, call // 40)), *range(call - 5, len(text))]
    for end in ends:
        run = workshop.feed(text[:end])
        done = workshop.root / "done"
        if done.exists():
            # Only where the whole call had arrived, and then it ran to its end; what is left of `exit` may fail.
            assert end >= call + len('main "$@"'), text[end - 20 : end]
            assert json.loads(run.out)["result"] == {"a": "b"}
            done.unlink()
    assert workshop.feed(text).code == 0


# --- services


def test_restart_that_a_cut_off_run_owed_is_done_by_the_next(workshop: Workshop) -> None:
    workshop.stub("systemctl", f'echo "$@" >>{workshop.folder}/calls; [ "$1" != is-enabled ] || echo enabled')
    write = 'want_file "$ROOT/conf" 0644 <<<"$TEXT"\n'
    service = 'want_service x.service restart-if "file $ROOT/conf"'
    assert workshop.run(write + service, TEXT="1").changed == [f"file {workshop.root}/conf", "service x.service"]
    calls = workshop.folder / "calls"
    calls.write_text("")
    assert workshop.run(write + service, TEXT="1").changed == []
    assert "restart" not in calls.read_text()
    assert workshop.run(write + "kill -9 $$\n" + service, TEXT="2").code == -9
    assert "restart" not in calls.read_text()
    assert workshop.run(write + service, "check", TEXT="2").changed == ["service x.service"]
    assert workshop.run(write + service, TEXT="2").changed == ["service x.service"]
    assert "restart -- x.service" in calls.read_text()
    calls.write_text("")
    assert workshop.run(write + service, TEXT="2").changed == []
    assert "restart" not in calls.read_text()


def test_service_that_does_not_start_is_named(workshop: Workshop) -> None:
    workshop.stub("systemctl", "case $1 in is-enabled) echo enabled ;; is-active | start) exit 3 ;; esac")
    run = workshop.run("want_service broken.service")
    assert run.code == FAILED
    assert "failed: broken.service does not start" in run.err


@pytest.mark.parametrize(("state", "expected"), [("enabled", []), ("static", []), ("disabled", ["enabled x.service"])])
def test_unit_is_enabled(workshop: Workshop, state: str, expected: list[str]) -> None:
    workshop.stub("systemctl", f'echo "$@" >>{workshop.folder}/calls; [ "$1" != is-enabled ] || echo {state}')
    assert workshop.run("want_enabled x.service").changed == expected
    assert ("enable --quiet -- x.service" in (workshop.folder / "calls").read_text()) == bool(expected)


def test_units_are_read_again_when_one_changed(workshop: Workshop) -> None:
    workshop.stub("systemctl", f'echo "$1" >>{workshop.folder}/calls; [ "$1" != is-enabled ] || echo enabled')
    workshop.run("changed 'file /etc/systemd/system/x.service'; want_service x.service; want_service y.service")
    assert (workshop.folder / "calls").read_text().split().count("daemon-reload") == 1


# --- one run at a time


def test_other_run_is_waited_for_and_named(workshop: Workshop) -> None:
    lock = workshop.folder / "lock"
    with lock.open("w") as held:
        held.write("4711\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        run = workshop.run("result a b", LOCK_WAIT_SECONDS=1)
        assert run.code == FAILED
        assert f"failed: another run holds {lock} (pid 4711), waited 1 s" in run.err
    assert workshop.run("result a b").code == 0


def test_looking_does_not_exclude_looking_but_changing(workshop: Workshop) -> None:
    with (workshop.folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert workshop.run(":", "check", LOCK_WAIT_SECONDS=1).code == 0
        assert workshop.run(":", "apply", LOCK_WAIT_SECONDS=1).code == FAILED


# --- all scripts


@pytest.mark.parametrize("script", sorted(script_paths().values()), ids=lambda path: path.stem)
def test_scripts_have_no_common_mistakes(script: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    assert shellcheck.exists(), "install the development requirements"
    # SC2154: values come with the composed text. SC2034: a function of one file reads the variable of another.
    # SC2016: messages name commands in backquotes; awk's and Perl's variables are meant.
    done = subprocess.run(
        [shellcheck, "--shell=bash", "--exclude=SC2154,SC2034,SC2016", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
