"""Packages of the scripts' library, with apt and dpkg played by programs of the test's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from script_workshop import FAILED

if TYPE_CHECKING:
    from pathlib import Path

    from script_workshop import Workshop

APT = """
echo "apt-get $*" >>"$LOG"
for word in "$@"; do case $word in install) touch "$(dirname "$LOG")/installed" ;; esac; done
"""
QUERY = r"""
[ ! -e "$(dirname "$LOG")/installed" ] || printf 'curl\tinstalled\t8.1\n'
printf 'bash\tinstalled\t5.2\nhalf\thalf-configured\t1\n'
"""


def _log(workshop: Workshop, apt: str = APT, query: str = QUERY, audit: str = "") -> Path:
    log = workshop.folder / "log"
    log.write_text("")
    environment = f"LOG={log}\n"
    workshop.stub("apt-get", environment + apt)
    workshop.stub("dpkg-query", environment + query)
    workshop.stub("dpkg", environment + f'echo "dpkg $*" >>"$LOG"\n[ "$1" != --audit ] || printf "%s" "{audit}"')
    return log


def test_only_missing_packages_are_installed(workshop: Workshop) -> None:
    log = _log(workshop)
    assert workshop.run("want_packages bash curl; want_packages bash curl").changed == ["package curl"]
    calls = [line for line in log.read_text().splitlines() if line.startswith("apt-get")]
    assert len(calls) == 2
    assert calls[0].endswith(" update")
    assert calls[1].endswith(" install --yes --no-install-recommends curl")
    assert "SourceList" not in calls[0]
    assert workshop.run("want_packages bash curl").changed == []


def test_package_at_another_version_is_installed(workshop: Workshop) -> None:
    log = _log(workshop)
    assert workshop.run("want_packages bash=5.2").changed == []
    assert workshop.run("want_packages bash=5.3").changed == ["package bash=5.3"]
    assert log.read_text().splitlines()[-1].endswith(" bash=5.3")


def test_half_installed_package_is_finished_first(workshop: Workshop) -> None:
    log = _log(workshop, audit="half is half")
    assert workshop.run("want_packages half").changed == ["package half"]
    calls = log.read_text().splitlines()
    configure = next(index for index, call in enumerate(calls) if "--configure -a" in call)
    install = next(index for index, call in enumerate(calls) if " install " in call)
    assert configure < install


def test_lock_of_another_program_is_waited_for(workshop: Workshop) -> None:
    workshop.stub("sleep", "")
    busy = """
    if [ ! -e "$LOG.once" ]; then
        touch "$LOG.once"
        echo 'E: Could not get lock /var/lib/apt/lists/lock' >&2
        exit 100
    fi
    """
    log = _log(workshop, apt=busy + APT)
    assert workshop.run("want_packages curl").changed == ["package curl"]
    assert " install " in log.read_text()
    run = workshop.run(
        "want_packages other",
        APT_WAIT_SECONDS=0,
        LOG_IS=str(_log(workshop, apt="echo 'Could not get lock' >&2; exit 100")),
    )
    assert run.code == FAILED
    assert "failed: another program held the package manager's lock" in run.err


def test_failure_of_apt_is_shown(workshop: Workshop) -> None:
    _log(workshop, apt="echo 'E: Unable to locate package nonsense' >&2; exit 100")
    run = workshop.run("want_packages nonsense")
    assert run.code == FAILED
    assert "Unable to locate package nonsense" in run.err
    assert "failed: apt-get update gave up (status 100)" in run.err


def test_only_the_mirror_is_asked_where_there_is_one(workshop: Workshop) -> None:
    log = _log(workshop)
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nx\n"
    release = workshop.folder / "os-release"
    release.write_text("VERSION_CODENAME=bookworm\n")
    workshop.run("want_packages curl", MIRROR_URL="http://mirror:8000/", MIRROR_APT_KEY=key, OS_RELEASE=str(release))
    folder = workshop.folder / "state" / "apt"
    calls = [line for line in log.read_text().splitlines() if line.startswith("apt-get")]
    assert len(calls) == 2
    for call in calls:
        assert f"-o Dir::Etc::SourceList={folder}/mirror.list" in call
        assert "-o Dir::Etc::SourceParts=/dev/null" in call
        assert f"-o Dir::State::Lists={folder}/lists" in call
    source = f"deb [signed-by={folder}/mirror.asc] http://mirror:8000/apt/bookworm ./\n"
    assert (folder / "mirror.list").read_text() == source
    assert (folder / "mirror.asc").read_text() == key


def test_mirror_without_packages_leaves_apt_alone(workshop: Workshop) -> None:
    log = _log(workshop)
    workshop.run("want_packages curl", MIRROR_URL="http://mirror:8000", MIRROR_APT_KEY=None)
    assert "SourceList" not in log.read_text()
