"""What hosts say for `labctl doctor`, by the script that asks them, and how it is read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from drift_hosts import Asking
from ssh_server import SshHost, key_pair

from labctl.drift.facts import BackupRun, Pool, parse_facts

FILES = Path(__file__).resolve().parents[3] / "components" / "nodes" / "files"


@pytest.fixture
def probe(tmp_path: Path) -> Callable[[], str]:
    """Run the script on a machine of the test's own, whose pools are these."""
    programs = tmp_path / "bin"
    programs.mkdir()
    scripts = {
        "zpool": "#!/bin/bash\nprintf 'tank\\tDEGRADED\\t83%%\\nvault\\tONLINE\\t7%%\\n'\n",
        "timedatectl": "#!/bin/bash\necho no\n",
        "systemd-analyze": "#!/bin/bash\n"
        "echo '    Next elapse: 2026-11-24 02:30:00 UTC'\necho '  Iteration #2: 2026-11-25 02:30:00 UTC'\n",
    }
    for name, text in scripts.items():
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)

    def run() -> str:
        script = f". {FILES / 'facts.sh'}; . {FILES / 'health-facts.sh'}; health_facts"
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            env={"FACTS_ROOT": str(tmp_path / "root"), "PATH": f"{programs}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    return run


def write(root: Path, path: str, content: str) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content, encoding="utf-8")


def test_a_storage_host(probe: Callable[[], str], tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "etc/systemd/system/research-compute-data-backup.timer", "[Timer]\nOnCalendar=*-*-* 02:30:00\n")
    write(root, "var/lib/research-compute/data-backup/last-success", "2026-11-23T02:31:05Z\n")
    write(root, "etc/systemd/system/research-compute-etcd-backup.timer", "[Timer]\nOnCalendar=hourly\n")
    before = datetime.now(UTC)
    facts = parse_facts(probe())
    assert facts.pools == (
        Pool(name="tank", health="DEGRADED", used_percent=83),
        Pool(name="vault", health="ONLINE", used_percent=7),
    )
    assert facts.backups == (
        BackupRun(unit="research-compute-etcd-backup", succeeded=None, interval_seconds=86_400),
        BackupRun(
            unit="research-compute-data-backup",
            succeeded=datetime(2026, 11, 23, 2, 31, 5, tzinfo=UTC),
            interval_seconds=86_400,
        ),
    )
    assert facts.clock is not None
    assert facts.clock.is_synchronised is False
    assert before - timedelta(seconds=1) <= facts.clock.time <= datetime.now(UTC)


def test_a_host_with_nothing_of_it(probe: Callable[[], str]) -> None:
    facts = parse_facts(probe())
    assert facts.backups == ()


@pytest.mark.parametrize("line", ["clock", "clock\tx", "clock\t-1\tyes", "pool\ta", "pool\ta\tb\tc", "backup\ta\tb"])
def test_lines_that_are_none(line: str) -> None:
    facts = parse_facts(line)
    assert (facts.clock, facts.pools, facts.backups) == (None, (), ())


def test_a_clock_is_compared_with_the_one_here_when_its_line_arrives(asking: Asking, server: SshHost) -> None:
    host = asking.asked(server, asking.question("refusing"))
    (found,) = asking.survey(host)
    assert found.clock_offset_seconds is not None
    assert abs(found.clock_offset_seconds) < 2
    assert found.is_other is False


def test_a_host_whose_clock_is_wrong(
    asking: Asking, server: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "clocks"
    programs.mkdir()
    (programs / "date").write_text("#!/bin/bash\necho $(($(/bin/date +%s) + 300)).5\n", encoding="utf-8")
    (programs / "date").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (found,) = asking.survey(asking.asked(server))
    assert found.clock_offset_seconds is not None
    assert 298 < found.clock_offset_seconds < 302


def test_another_host_is_told_from_one_that_is_off(asking: Asking, server: SshHost) -> None:
    _, stranger = key_pair()
    other = asking.asked(server, host_key=stranger)
    (found,) = asking.survey(other)
    assert found.is_other
    assert found.reason is not None


def test_a_host_has_its_own_deadline(asking: Asking, server: SshHost) -> None:
    slow = replace(asking.asked(server, asking.question("stuck")), answer_seconds=0.5)
    (found,) = asking.survey(slow)
    assert found.reason == "no complete answer within 0.5 s"
