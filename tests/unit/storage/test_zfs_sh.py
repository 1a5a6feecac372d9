"""Scripts of pools: linted, and what they read of OpenZFS' output, of which the tests' own ZFS prints only a part."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

BASH = "/bin/bash"
FILES = Path("components/storage/files")


# --- zpool status, as OpenZFS 2.1 to 2.3 print it (zpool-status(8); the parts the tests' own ZFS lacks)

STATUS = """  pool: tank
 state: DEGRADED
status: One or more devices is currently being resilvered.
  scan: resilver in progress since Sun Nov 22 18:16:38 2026
config:

\tNAME                                  STATE     READ WRITE CKSUM
\ttank                                  DEGRADED     0     0     0
\t  raidz2-0                            DEGRADED     0     0     0
\t    /dev/disk/by-id/ata-A-part1       ONLINE       0     0     0
\t    replacing-1                       DEGRADED     0     0     0
\t      1234567890123456789             UNAVAIL      0     0     0  was /dev/disk/by-id/ata-B-part1
\t      /dev/disk/by-id/ata-E-part1     ONLINE       0     0     0  (resilvering)
\t    spare-2                           DEGRADED     0     0     0
\t      /dev/disk/by-id/ata-C-part1     FAULTED      9   120     0  too many errors
\t      /dev/disk/by-id/ata-S-part1     ONLINE       0     0     0
\t    /dev/disk/by-id/ata-D-part1       ONLINE       0     0     0
\tspecial
\t  mirror-1                            ONLINE       0     0     0
\t    /dev/disk/by-id/nvme-1-part1      ONLINE       0     0     0
\t    /dev/disk/by-id/nvme-2-part1      ONLINE       0     0     0
\tlogs
\t  /dev/disk/by-id/nvme-3-part1        ONLINE       0     0     0
\tcache
\t  /dev/disk/by-id/nvme-4-part1        ONLINE       0     0     0
\tspares
\t  /dev/disk/by-id/ata-S-part1         INUSE     currently in use

errors: No known data errors
"""
DRAID = """config:

\tNAME                           STATE     READ WRITE CKSUM
\ttank                           ONLINE       0     0     0
\t  draid2:4d:8c:1s-0            ONLINE       0     0     0
\t    ata-1                      ONLINE       0     0     0
\t    spare-1                    DEGRADED     0     0     0
\t      ata-2                    REMOVED      0     0     0
\t      draid2-0-0               ONLINE       0     0     0
\t    ata-3                      ONLINE       0     0     0
\tspares
\t  draid2-0-0                   INUSE     currently in use

errors: No known data errors
"""


def script(root: Path, *names: str) -> str:
    return "\n".join((root / FILES / f"{name}.sh").read_text(encoding="utf-8") for name in names)


def shell(root: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a text after the functions of pools, with `refuse` as the scripts have it."""
    head = 'set -euo pipefail\nPOOL=tank STEP_HOST=store-1\nrefuse() { printf "refused: %s\\n" "$*" >&2; exit 65; }\n'
    return subprocess.run(
        [BASH, "-c", f"{head}{script(root, 'zfs-disks', 'zfs-layout')}\n{text}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def by_id(*names: str) -> str:
    return " ".join(f"/dev/disk/by-id/{name}" for name in names)


def compared(root: Path, section: str, *groups: str, status: str = STATUS) -> dict[str, str]:
    """Return what `compare_section` finds in a pool with this status."""
    planned = " ".join(shlex.quote(group) for group in groups)
    done = shell(
        root,
        f"mapfile -t LAYOUT < <(layout_lines tank <<<{shlex.quote(status)})\ncompare_section {section} {planned}\n"
        'printf "%s|" new "${NEW_GROUPS[@]}"; echo; printf "%s|" replaced "${REPLACEMENTS[@]}"; echo\n'
        'printf "%s|" gone "${GONE[@]}"; echo',
    )
    if done.returncode != 0:
        return {"refused": done.stderr}
    return {line.split("|")[0]: "|".join(line.split("|")[1:-1]) for line in done.stdout.splitlines()}


SAME = {"new": "", "replaced": "", "gone": ""}


def test_a_pool_that_is_being_mended_is_as_planned(root: Path) -> None:
    assert compared(root, "data", f"raidz2 {by_id('ata-A', 'ata-E', 'ata-C', 'ata-D')}") == SAME
    # The spare that stands in does not count as a disk of the plan's.
    assert compared(root, "special", f"mirror {by_id('nvme-2', 'nvme-1')}") == SAME
    assert compared(root, "logs", f"disk {by_id('nvme-3')}") == SAME


def test_a_failed_disk_is_replaced_by_the_one_in_its_place(root: Path) -> None:
    found = compared(root, "data", f"raidz2 {by_id('ata-A', 'ata-E', 'ata-F', 'ata-D')}")
    assert found == {**SAME, "replaced": f"/dev/disk/by-id/ata-C-part1 {by_id('ata-F')}"}
    # One whose own replacement is under way is known by its number.
    found = compared(root, "data", f"raidz2 {by_id('ata-A', 'ata-G', 'ata-C', 'ata-D')}")
    assert found == {**SAME, "replaced": f"1234567890123456789 {by_id('ata-G')}"}


def test_groups_are_found_by_their_disks_and_not_by_their_place(root: Path) -> None:
    first, second = f"raidz2 {by_id('ata-A', 'ata-E', 'ata-C', 'ata-D')}", f"raidz2 {by_id('x', 'y', 'z', 'w')}"
    assert compared(root, "data", second, first) == {**SAME, "new": second}
    assert compared(root, "data", second) == {"new": second, "replaced": "", "gone": "raidz2-0"}
    assert compared(root, "logs") == {**SAME, "gone": "/dev/disk/by-id/nvme-3-part1"}


def test_a_disk_alone_is_replaced_in_its_place(root: Path) -> None:
    assert compared(root, "logs", f"disk {by_id('nvme-9')}") == {
        **SAME,
        "replaced": f"/dev/disk/by-id/nvme-3-part1 {by_id('nvme-9')}",
    }


def test_a_distributed_raid_is_known_by_all_it_says(root: Path) -> None:
    disks = by_id("ata-1", "ata-2", "ata-3")
    assert compared(root, "data", f"draid2:4d:8c:1s {disks}", status=DRAID) == SAME
    assert compared(root, "spares", status=DRAID) == SAME
    refused = compared(root, "data", f"draid2:4d:8c:2s {disks}", status=DRAID)
    assert "is draid2:4d:8c:1s and can never be draid2:4d:8c:2s" in refused["refused"]


@pytest.mark.parametrize(
    ("shown", "planned", "same"),
    [
        ("/dev/disk/by-id/ata-A", "/dev/disk/by-id/ata-A", True),
        ("/dev/disk/by-id/ata-A-part1", "/dev/disk/by-id/ata-A", True),
        ("ata-A", "/dev/disk/by-id/ata-A", True),
        ("ata-A-part1", "/dev/disk/by-id/ata-A", True),
        ("/dev/disk/by-id/ata-A-part2", "/dev/disk/by-id/ata-A", False),
        ("/dev/disk/by-id/ata-AB", "/dev/disk/by-id/ata-A", False),
        ("/disks/d1", "/disks/d", False),
        ("d1", "/disks/d1", False),
    ],
)
def test_a_disk_is_known_by_the_names_zpool_gives_it(root: Path, shown: str, planned: str, same: bool) -> None:  # noqa: FBT001 - a table's column
    assert (shell(root, f"same_disk {shown} {planned}").returncode == 0) is same


IMPORTABLE = """   pool: tank
     id: 1234567890123456789
  state: DEGRADED
 action: The pool can be imported despite missing or damaged devices.
 config:

\ttank          DEGRADED
\t  mirror-0    DEGRADED
\t    ata-A     ONLINE
\t    ata-B     UNAVAIL  cannot open
\tlogs
\t  nvme-3      ONLINE
"""


def test_a_pool_that_could_be_imported_is_read_alike(root: Path) -> None:
    assert compared(root, "data", f"mirror {by_id('ata-A', 'ata-B')}", status=IMPORTABLE) == SAME
    assert compared(root, "logs", f"disk {by_id('nvme-3')}", status=IMPORTABLE) == SAME
    broken = "mapfile -t LAYOUT < <(layout_lines tank <<<{})\nbroken_groups; is_whole || echo mend"
    assert shell(root, broken.format(shlex.quote(IMPORTABLE))).stdout == "mend\n"
    lost = IMPORTABLE.replace("ata-A     ONLINE", "ata-A     FAULTED")
    assert shell(root, broken.format(shlex.quote(lost))).stdout == "mirror-0 ata-A ata-B\nmend\n"
    assert shell(root, broken.format(shlex.quote(STATUS))).stdout == "mend\n"
    assert (
        shell(
            root, broken.format(shlex.quote(STATUS.replace("ata-D-part1       ONLINE", "ata-D-part1       REMOVED")))
        ).stdout
        == "mend\n"
    )
    other = compared(root, "data", f"mirror {by_id('ata-C', 'ata-D')}", status=IMPORTABLE)
    assert other["gone"] == "mirror-0"


# --- the look at pools

HEALTHY = """  pool: tank
 state: ONLINE
  scan: scrub repaired 0B in 05:12:44 with 0 errors on Sun Nov  8 05:36:45 2026
config:

\tNAME        STATE     READ WRITE CKSUM
\ttank        ONLINE       0     0     0
\t  mirror-0  ONLINE       0     0     0
\t    ata-A   ONLINE       0     0     0
\t    ata-B   ONLINE       0     0     0

errors: No known data errors
"""
DAY = 86_400
SCRUBBED = 1_794_116_205
"""Sun Nov 8 05:36:45 2026, UTC, in seconds."""
FAKE = """#!/bin/sh
case "$*" in
'list -H -o health tank') [ -n "$HEALTH" ] && echo "$HEALTH" ;;
'list -H -o capacity tank') echo "$CAPACITY" ;;
'status tank') printf '%s' "$STATUS" ;;
'get -Hp -o value creation tank') echo 1700000000 ;;
*) exit 9 ;;
esac
"""


@dataclass(frozen=True)
class Seen:
    """What zpool says of a pool, and when it is asked."""

    status: str = HEALTHY
    health: str = "ONLINE"
    capacity: str = "42%"
    now: int = SCRUBBED + DAY


def look(root: Path, folder: Path, seen: Seen) -> subprocess.CompletedProcess[str]:
    """Run the program with a zpool that prints this."""
    programs, pools = folder / "programs", folder / "pools"
    programs.mkdir(exist_ok=True)
    pools.mkdir(exist_ok=True)
    for name in ("zpool", "zfs"):
        (programs / name).write_text(FAKE)
        (programs / name).chmod(0o755)
    # systemd may not be here: two times a month apart stand for its answer.
    (programs / "systemd-analyze").write_text(
        "#!/bin/sh\necho '    Next elapse: Tue 2026-12-01 00:00:00 UTC'\n"
        "echo '   Iteration #2: Thu 2026-12-31 00:00:00 UTC'\n"
    )
    (programs / "systemd-analyze").chmod(0o755)
    (pools / "tank").write_text("SCRUB=monthly\n")
    given = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "POOLS_FOLDER": str(pools),
        "SEEN_FOLDER": str(folder / "seen"),
        "NOW": str(seen.now),
        "STATUS": seen.status,
        "HEALTH": seen.health,
        "CAPACITY": seen.capacity,
        "TZ": "UTC",
    }
    return subprocess.run(
        [BASH, root / FILES / "zfs-health.sh"], env=given, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_healthy_pool_is_silent(root: Path, tmp_path: Path) -> None:
    done = look(root, tmp_path, Seen())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Seen(health=""), "pool tank: it is not imported"),
        (
            Seen(health="DEGRADED", status=HEALTHY.replace("ata-B   ONLINE ", "ata-B   FAULTED")),
            "pool tank: it is DEGRADED: ata-B FAULTED",
        ),
        (
            Seen(status=HEALTHY.replace("No known data errors", "3 data errors, use '-v' for a list")),
            "pool tank: 3 data errors, use '-v' for a list",
        ),
        (
            Seen(status=HEALTHY.replace("ata-A   ONLINE       0     0     0", "ata-A   ONLINE       0     0     7")),
            "pool tank: errors counted on ata-A",
        ),
        (
            Seen(status=HEALTHY.replace("ata-A   ONLINE       0     0     0", "ata-A   ONLINE       0 1.2K     0")),
            "pool tank: errors counted on ata-A",
        ),
        (Seen(capacity="93%"), "pool tank: 93 % full, and slow because of it"),
        (Seen(now=SCRUBBED + 39 * DAY), "pool tank: not read through for 39 days"),
    ],
)
def test_what_needs_somebody_is_said(root: Path, tmp_path: Path, seen: Seen, said: str) -> None:
    done = look(root, tmp_path, seen)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_pool_that_fills_up_is_said_before_it_is_too_late(root: Path, tmp_path: Path) -> None:
    done = look(root, tmp_path, Seen(capacity="85%"))
    assert (done.returncode, "85 % full" in done.stdout) == (0, True)


def test_a_scrub_is_remembered_beyond_a_resilver(root: Path, tmp_path: Path) -> None:
    assert look(root, tmp_path, Seen()).returncode == 0
    resilvered = HEALTHY.replace("scrub repaired 0B in 05:12:44 with 0", "resilvered 1.2T in 09:00:00 with 0")
    assert look(root, tmp_path, Seen(status=resilvered, now=SCRUBBED + 37 * DAY)).returncode == 0
    late = look(root, tmp_path, Seen(status=resilvered, now=SCRUBBED + 39 * DAY))
    assert "not read through for 39 days" in late.stderr
    other = tmp_path / "never-seen"
    other.mkdir()
    assert "not read through for" in look(root, other, Seen(status=resilvered)).stderr
