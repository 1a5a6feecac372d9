"""What the second storage host may ask of the first, word by word; which snapshots count as late; common mistakes.

The rest is on real hosts (tests/hosts/test_storage_replication.py).
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

FILES = Path(__file__).parents[3] / "components" / "storage" / "files"
SECONDS = 60
"""For one run, on a busy machine."""
REFUSED = 65
ZFS = """#!/bin/bash
if [[ $1 == send && $2 == -nvt ]]; then
    printf 'resume token contents:\\nnvlist version: 0\\n\\tobject = 0x8\\n\\ttoname = %s\\n' "$(cat "$WORLD/token")"
    exit 0
fi
printf '%s' "$(basename "$0")" >>"$WORLD/calls"
printf ' [%s]' "$@" >>"$WORLD/calls"
echo >>"$WORLD/calls"
case $1 in
    list | get) cat "$WORLD/answer" ;;
    hold) [[ ! -e $WORLD/gone || $3 != *gone* ]] ;;
esac
"""


@dataclass(frozen=True)
class FirstHost:
    """A folder that stands for the first host, with a ZFS that notes what it is asked for."""

    folder: Path

    def ask(self, command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Ask what the second host asks."""
        environment = {
            "PATH": "/usr/bin:/bin",
            "REPLICA_PATH": f"{self.folder}:",
            "REPLICA_SETTINGS": str(self.folder / "settings"),
            "REPLICA_STATE": str(self.folder / "state"),
            "WORLD": str(self.folder),
        }
        return subprocess.run(
            ["/bin/bash", FILES / "replica-serve.sh", command],
            input=text,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def first(tmp_path: Path) -> FirstHost:
    for name in ("zfs", "zpool"):
        (tmp_path / name).write_text(ZFS)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "logger").write_text("#!/bin/sh\n")
    (tmp_path / "logger").chmod(0o755)
    (tmp_path / "settings").write_text("SOURCES=( tank/homes tank/data )\n")
    (tmp_path / "answer").write_text("")
    (tmp_path / "token").write_text("tank/homes/hub@autosnap_1_hourly")
    return FirstHost(tmp_path)


@pytest.mark.parametrize(
    ("command", "call"),
    [
        # As syncoid 2.1 and 2.2 send them.
        (
            "zpool get -o value -H feature@extensible_dataset 'tank'",
            "zpool [get] [-o] [value] [-H] [feature@extensible_dataset] [tank]",
        ),
        (
            " zfs list -o name,origin -t filesystem,volume -Hr 'tank/homes'",
            "zfs [list] [-o] [name,origin] [-t] [filesystem,volume] [-Hr] [tank/homes]",
        ),
        (" zfs get -H syncoid:sync 'tank/homes/hub'", "zfs [get] [-H] [syncoid:sync] [tank/homes/hub]"),
        (
            "zfs get -Hpd 1 -t snapshot guid,creation 'tank/data'",
            "zfs [get] [-Hpd] [1] [-t] [snapshot] [guid,creation] [tank/data]",
        ),
        ("zfs get -Hpd 1 type,guid,creation 'tank/data'", "zfs [get] [-Hpd] [1] [type,guid,creation] [tank/data]"),
        ("zfs send -nvP 'tank/data@a_hourly'", "zfs [send] [-nvP] [tank/data@a_hourly]"),
        ("zfs send -L -c -e -nvP -I 'tank/data@a' 'tank/data@b'", None),
        (" zfs send  'tank/data'@'a:b-1_hourly'", "zfs [send] [tank/data@a:b-1_hourly]"),
        (
            " zfs send -L -c -e  -I 'tank/data'@'a' 'tank/data'@'b'",
            "zfs [send] [-L] [-c] [-e] [-I] [tank/data@a] [tank/data@b]",
        ),
        ("zfs send -i 'tank/data'#'mark' 'tank/data'@'b'", "zfs [send] [-i] [tank/data#mark] [tank/data@b]"),
        ("zfs send -e -t 1-abc-def0", "zfs [send] [-e] [-t] [1-abc-def0]"),
    ],
)
def test_what_syncoid_asks_is_answered(first: FirstHost, command: str, call: str | None) -> None:
    done = first.ask(command)
    assert done.returncode == 0, done.stderr
    assert len(first.calls) == 1
    assert call is None or first.calls == [call]


@pytest.mark.parametrize("command", ["exit", "echo -n"])
def test_the_beginning_and_the_end_of_a_connection_are_nothing(first: FirstHost, command: str) -> None:
    assert first.ask(command).returncode == 0
    assert first.calls == []


def test_no_program_of_this_side_is_offered(first: FirstHost) -> None:
    assert first.ask("command -v mbuffer").returncode == 1


@pytest.mark.parametrize(
    "command",
    [
        "",
        "sh",
        "zfs",
        "zfs destroy 'tank/data@a'",
        "zfs snapshot tank/data@a",
        "zfs receive tank/data",
        "zfs set mountpoint=/ tank/data",
        "zfs hold x tank/data@a",
        "zfs list",
        "zfs list -H",
        "zfs get -H creation",
        "zfs list tank",
        "zfs list tank/other",
        "zfs list tank/homes2",
        "zfs list -H tank/homes tank/other",
        "zfs list -o name -o",
        "zfs get -H -o name,value 'a b' tank/data",
        "zfs get all,'x y' tank/data",
        "zfs send tank/data",
        "zfs send tank/other@a",
        "zfs send tank@a",
        "zfs send -R tank@a",
        "zfs send -i tank/other@a tank/data@b",
        "zfs send -i tank/data tank/data@b",
        "zfs send tank/data@a tank/data@b",
        "zfs send -t",
        "zfs send -t 1-xyz",
        "zfs send --redact x tank/data@a",
        "zfs send tank/data@a > /etc/passwd",
        "zfs send tank/data@a | mbuffer -o /etc/passwd",
        "zfs send tank/data@a; reboot",
        "zfs send tank/data@a && reboot",
        "zfs send tank/data@a\nreboot",
        "zfs send tank/data@a & reboot",
        "zfs list $(reboot)",
        "zfs list `reboot`",
        "zfs list tank/data\\",
        'zfs list "tank/data"',
        "zfs list 'tank/data",
        "zfs list ~root",
        "zfs list tank/data*",
        "zfs list tank/data@'a b'",
        "zpool get -o value -H feature@lz4_compress other",
        "zpool get -o value -H feature@lz4_compress tank other",
        "zpool get all tank",
        "zpool destroy tank",
        "keep now",
        "/sbin/zfs list tank/data",
        f"zfs list {'tank/data ' * 1000}",
    ],
)
def test_everything_else_is_refused(first: FirstHost, command: str) -> None:
    done = first.ask(command)
    assert done.returncode == REFUSED, done.stdout
    assert done.stderr.startswith("refused: ")
    assert first.calls == []


def test_a_token_of_another_file_system_is_refused(first: FirstHost) -> None:
    (first.folder / "token").write_text("tank/secret@a")
    assert first.ask("zfs send -t 1-abc").returncode == REFUSED
    assert first.calls == []


def test_only_snapshots_of_the_schedule_are_shown(first: FirstHost) -> None:
    (first.folder / "answer").write_text(
        "tank/data\t-\ntank/data@autosnap_1_hourly\t-\ntank/data@research-compute-backup-2\t-\ntank/data@mine\t-\n"
    )
    shown = first.ask("zfs list -H -o name,origin tank/data").stdout
    assert shown == "tank/data\t-\ntank/data@autosnap_1_hourly\t-\n"


def test_holds_follow_what_the_copies_have_last(first: FirstHost) -> None:
    def holds() -> list[str]:
        return [
            line.replace("[research-compute-replica] ", "") for line in first.calls if "hold" in line or "rel" in line
        ]

    assert first.ask("keep", "tank/data@a\ntank/homes@a\n").returncode == 0
    assert holds() == ["zfs [hold] [tank/data@a]", "zfs [hold] [tank/homes@a]"]
    assert first.ask("keep", "tank/data@b\ntank/homes@a\n").returncode == 0
    assert holds()[2:] == ["zfs [hold] [tank/data@b]", "zfs [hold] [tank/homes@a]", "zfs [release] [tank/data@a]"]
    assert first.ask("keep", "").returncode == 0
    assert holds()[5:] == ["zfs [release] [tank/data@b]", "zfs [release] [tank/homes@a]"]
    assert (first.folder / "state" / "held").read_text() == ""


def test_nothing_foreign_is_held(first: FirstHost) -> None:
    assert first.ask("keep", "tank/data@a\ntank/other@a\n").returncode == REFUSED
    assert first.calls == []


# --- ages


def ages(tmp_path: Path, answer: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    zfs = tmp_path / "zfs"
    zfs.write_text('#!/bin/sh\ncat "$WORLD/answer"\n')
    zfs.chmod(0o755)
    (tmp_path / "answer").write_text(answer)
    return subprocess.run(
        ["/bin/bash", FILES / "snapshot-ages.sh", *arguments],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "WORLD": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def world(**seconds: int) -> str:
    """Return what ZFS says of creations so many seconds ago; ``__`` stands for a slash, ``_at_`` for what it says."""
    now = int(time.time())
    return "".join(
        f"tank/{name.replace('_at_', '@').replace('__', '/')}\t{now - ago}\n" for name, ago in seconds.items()
    )


def test_new_ones_are_no_news(tmp_path: Path) -> None:
    said = world(homes=9000, homes_at_autosnap_2_hourly=8000, homes_at_autosnap_1_hourly=100, homes__new=50)
    done = ages(tmp_path, said, "3600", "tank/homes")
    assert (done.returncode, done.stdout) == (0, "")


def test_late_ones_are_named(tmp_path: Path) -> None:
    said = world(homes=900_000, homes_at_autosnap_1_hourly=7300, homes_at_mine=5, data=400_000, data_at_mine=5)
    done = ages(tmp_path, said, "3600", "tank/homes", "tank/data")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "newest snapshot of tank/homes is 2 hours old, which should be newer than 60 minutes",
        "tank/data has no snapshot, which should be newer than 60 minutes",
    ]


def test_only_what_is_listed_counts_and_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "only").write_text("tank/homes\ntank/gone\n")
    said = world(homes=900_000, homes_at_autosnap_1_hourly=10, left=900_000, left_at_autosnap_1_hourly=800_000)
    done = ages(tmp_path, said, "--only", str(tmp_path / "only"), "3600", "tank")
    assert (done.returncode, done.stdout) == (1, "tank/gone is not there\n")
