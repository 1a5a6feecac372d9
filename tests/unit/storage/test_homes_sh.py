"""The program that makes homes: which requests it takes, and what it asks ZFS for. What ZFS makes of it is tested on
real hosts (tests/hosts/test_storage_homes.py)."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

FILES = Path(__file__).parents[3] / "components" / "storage" / "files"
MAKER = FILES / "make-homes.sh"
SECONDS = 60
"""For one run, on a busy machine."""
NONCE = "0123456789abcdef"

ZFS = """#!/bin/bash
# A world of datasets that are folders: each has a file with its user property beside it.
printf '%s\\n' "$*" >>"$CALLS"
dataset=${!#}
case $1 in
list)
    if [[ -f $WORLD/${dataset//\\//+} ]]; then exit 0; fi
    echo "cannot open '$dataset': dataset does not exist" >&2
    exit 1
    ;;
get)
    case $4 in -*) exit 2 ;; esac
    property=$5
    case $property in
    mountpoint) printf '/%s\\tdefault\\n' "$dataset" ;;
    mounted) printf 'yes\\t-\\n' ;;
    *) printf '%s\\n' "$(cat "$WORLD/${dataset//\\//+}")" ;;
    esac
    ;;
create)
    if [[ -n ${ZFS_FAILS:-} ]]; then
        echo "cannot create '$dataset': out of space" >&2
        exit 1
    fi
    mkdir -p "$HOMES_ROOT/$dataset"
    made_for=$(grep -o 'research-compute:home=[0-9:]*' <<<"$*")
    made_for=${made_for#*=}
    printf '%s\\t%s\\n' "${made_for:--}" "$([[ -n $made_for ]] && echo local || echo -)" >"$WORLD/${dataset//\\//+}"
    ;;
set) ;;
esac
"""


@dataclass(frozen=True)
class Storage:
    """A folder that stands for a storage host whose datasets `ZFS` makes."""

    folder: Path
    settings: str

    @property
    def requests(self) -> Path:
        return self.folder / "root/tank/home-requests/requests"

    @property
    def answers(self) -> Path:
        return self.folder / "root/tank/home-requests/answers"

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def dataset(self, name: str, made_for: str = "-\t-") -> Path:
        """Let a dataset exist; return its folder."""
        (self.folder / "world" / name.replace("/", "+")).write_text(f"{made_for}\n", encoding="utf-8")
        path = self.folder / "root" / name
        path.mkdir(parents=True)
        return path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the program once."""
        return subprocess.run(
            ["bash", MAKER, *arguments],  # noqa: S607 - the machine's own bash
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env={
                "CALLS": str(self.folder / "calls"),
                "HOMES_LOCK": str(self.folder / "lock"),
                "HOMES_PATH": str(self.folder / "bin"),
                "HOMES_ROOT": str(self.folder / "root"),
                "HOMES_SETTINGS": self.settings,
                "HOMES_STATE": str(self.folder / "state"),
                "PAUSE_SECONDS": "0",
                "WORLD": str(self.folder / "world"),
                **environment,
            },
        )

    def ask(self, content: str | bytes, name: str) -> dict[str, str]:
        """Put a request, run once, and return the answer's lines."""
        raw = content if isinstance(content, bytes) else content.encode()
        (self.requests / name).write_bytes(raw)
        done = self.run()
        assert done.returncode == 0, done.stderr
        assert not (self.requests / name).exists()
        return self.answer(name)

    def answer(self, name: str) -> dict[str, str]:
        text = (self.answers / name).read_text(encoding="utf-8")
        return dict(line.split(" ", 1) for line in text.splitlines())


def name_of(namespace: str, claim: str) -> str:
    return f"{namespace}.{claim}.{NONCE}"


def lines(**changes: str | None) -> str:
    """Return a request as the hub writes it, some lines replaced or (None) left out."""
    given = {"version": "1", "namespace": "hub-prod", "claim": "home-ada", "uid": "1000", "gid": "100", **changes}
    return "".join(f"{key} {value}\n" for key, value in given.items() if value is not None)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    for folder in ("bin", "world", "state"):
        (tmp_path / folder).mkdir()
    made = Storage(tmp_path, str(tmp_path / "settings"))
    # Nobody gives files away without being root; what is asked for is noted instead.
    programs = {"zfs": ZFS, "chown": '#!/bin/bash\nprintf "chown %s\\n" "$*" >>"$CALLS"\n'}
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text, encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    made.requests.mkdir(parents=True)
    made.answers.mkdir()
    made.dataset("tank/homes")
    Path(made.settings).write_text(
        f"HOMES=tank/homes\nREQUESTS={tmp_path}/root/tank/home-requests\nREQUESTER_UID={os.getuid()}\n"
        "FIRST_UID=1000\nLAST_UID=59999\nUSERS_GID=100\nHOME_QUOTA=1073741824\nAFTER_MAKING=''\n"
        "QUOTA_OF[hub-prod/home-grace]=5368709120\n",
        encoding="utf-8",
    )
    return made


def test_a_home_is_one_command_then_its_owners(storage: Storage) -> None:
    answer = storage.ask(lines(), name_of("hub-prod", "home-ada"))
    assert answer == {
        "version": "1",
        "status": "made",
        "path": "/tank/homes/hub-prod/home-ada",
        "reason": "",
    }
    made = [call for call in storage.calls if call.startswith(("create", "chown"))]
    path = storage.folder / "root/tank/homes/hub-prod/home-ada"
    assert made == [
        "create tank/homes/hub-prod",
        "create -o research-compute:home=1000:100 -o refquota=1073741824 tank/homes/hub-prod/home-ada",
        f"chown -h -- 1000:100 {path}",
    ]
    assert path.stat().st_mode & 0o7777 == 0o700


def test_an_exception_has_its_own_quota_and_no_quota_is_none(storage: Storage) -> None:
    storage.ask(lines(claim="home-grace"), name_of("hub-prod", "home-grace"))
    assert any("refquota=5368709120" in call for call in storage.calls)
    settings = Path(storage.settings)
    settings.write_text(settings.read_text(encoding="utf-8") + "HOME_QUOTA=''\n", encoding="utf-8")
    storage.ask(lines(claim="home-eve"), name_of("hub-prod", "home-eve"))
    assert "create -o research-compute:home=1000:100 tank/homes/hub-prod/home-eve" in storage.calls


REFUSALS: list[tuple[str | bytes, str, str]] = [
    (lines(uid="0"), "home-ada", "no ids, or root"),
    (lines(uid="999"), "home-ada", "999 is not among those of people, 1000 to 59999"),
    (lines(uid="60000"), "home-ada", "60000 is not among those of people"),
    (lines(uid="99999999999999999999"), "home-ada", "no ids, or root"),
    (lines(uid="-1"), "home-ada", "no ids, or root"),
    (lines(uid="0x3e8"), "home-ada", "no ids, or root"),
    (lines(uid="01000"), "home-ada", "no ids, or root"),
    (lines(uid="a[$(touch${IFS}/tmp/x)]"), "home-ada", "no ids, or root"),
    (lines(gid="0"), "home-ada", "no ids, or root"),
    (lines(gid="27"), "home-ada", "27 is neither 100"),
    (lines(claim="../../etc"), "home-ada", "does not begin with its namespace and claim"),
    (lines(claim="home-eve"), "home-ada", "does not begin with its namespace and claim"),
    (lines(claim="home-"), "home-", "no names of Kubernetes"),
    (lines(claim="a..b"), "a..b", "no names of Kubernetes"),
    (lines(claim="a" * 64), "a" * 64, "no names of Kubernetes"),
    (lines(claim=".".join(["a" * 60] * 3)), ".".join(["a" * 60] * 3), "more than 180 letters"),
    (lines(version="2"), "home-ada", "another version than 1"),
    (lines(gid=None), "home-ada", "lacks some of"),
    (lines() + "uid 2000\n", "home-ada", "other lines than"),
    (lines() + "shell /bin/sh\n", "home-ada", "other lines than"),
    (lines(uid="1000 2000"), "home-ada", "other lines than"),
    ("", "home-ada", "other lines than"),
    (lines() + "#" * 1024, "home-ada", "more than 1024 bytes"),
    (lines().encode() + b"\0", "home-ada", "other lines than"),
]


@pytest.mark.parametrize(("content", "claim", "reason"), REFUSALS)
def test_what_is_refused_and_why(storage: Storage, content: str | bytes, claim: str, reason: str) -> None:
    answer = storage.ask(content, name_of("hub-prod", claim))
    assert answer["status"] == "refused"
    assert reason in answer["reason"]
    assert answer["path"] == ""
    assert not any(call.startswith(("create", "set", "chown")) for call in storage.calls)


def test_a_namespace_with_a_dot_is_none(storage: Storage) -> None:
    answer = storage.ask(lines(namespace="hub.prod"), name_of("hub.prod", "home-ada"))
    assert "no names of Kubernetes" in answer["reason"]


@pytest.mark.parametrize("name", ["-rf", "UPPER.case.x", "with space", "new\nline", "é", "a" * 240])
def test_a_file_with_a_name_that_is_none_is_thrown_away(storage: Storage, name: str) -> None:
    (storage.requests / name).write_text(lines(), encoding="utf-8")
    done = storage.run()
    assert done.returncode == 0, done.stderr
    assert "thrown away" in done.stdout
    assert list(storage.requests.iterdir()) == []
    assert list(storage.answers.iterdir()) == []


def test_what_is_no_file_is_refused_and_removed(storage: Storage) -> None:
    secret = storage.folder / "secret"
    secret.write_text(lines(), encoding="utf-8")
    kinds = ("link", "folder", "pipe")
    paths = {kind: storage.requests / name_of("hub-prod", f"home-{kind}") for kind in kinds}
    paths["link"].symlink_to(secret)
    (paths["folder"] / "deep" / "er").mkdir(parents=True)
    os.mkfifo(paths["pipe"])
    assert storage.run().returncode == 0
    for path in paths.values():
        assert "no file" in storage.answer(path.name)["reason"]
        assert not path.is_symlink()
        assert not path.exists()
    assert secret.exists()


def test_what_is_being_written_is_left_alone(storage: Storage) -> None:
    (storage.requests / f".{name_of('hub-prod', 'home-ada')}").write_text("version", encoding="utf-8")
    assert storage.run().returncode == 0
    assert len(list(storage.requests.iterdir())) == 1
    assert storage.calls == []


def test_what_is_old_goes(storage: Storage) -> None:
    for folder, name in ((storage.requests, ".half"), (storage.answers, "old"), (storage.answers, "new")):
        (folder / name).write_text("x", encoding="utf-8")
        if name != "new":
            os.utime(folder / name, (0, 0))
    assert storage.run().returncode == 0
    assert [path.name for path in storage.answers.iterdir()] == ["new"]
    assert list(storage.requests.iterdir()) == []


def test_what_lies_where_a_home_should_be_is_not_touched(storage: Storage) -> None:
    folder = storage.dataset("tank/homes/hub-prod") / "home-ada"
    folder.mkdir(mode=0o755)
    answer = storage.ask(lines(uid="1000" if os.getuid() != 1000 else "1001"), name_of("hub-prod", "home-ada"))
    assert answer["status"] == "refused"
    assert f"belongs to user id {os.getuid()}" in answer["reason"]
    assert not any(call.startswith(("create", "chown")) for call in storage.calls)


def test_a_namespaces_folder_that_holds_something_is_not_hidden(storage: Storage) -> None:
    other = storage.folder / "root/tank/homes/hub-prod/home-eve"
    other.mkdir(parents=True)
    answer = storage.ask(lines(), name_of("hub-prod", "home-ada"))
    assert answer["reason"] == "/tank/homes/hub-prod holds something and is no dataset"
    assert not any(call.startswith("create") for call in storage.calls)


def test_what_zfs_says_is_the_reason(storage: Storage) -> None:
    (storage.requests / name_of("hub-prod", "home-ada")).write_text(lines(), encoding="utf-8")
    done = storage.run(ZFS_FAILS="yes")
    assert done.returncode == 0
    assert "out of space" in storage.answer(name_of("hub-prod", "home-ada"))["reason"]
    assert "out of space" in done.stdout


def test_no_more_than_so_many_in_an_hour(storage: Storage) -> None:
    for index in range(4):
        (storage.requests / name_of("hub-prod", f"home-{index}")).write_text(
            lines(claim=f"home-{index}"), encoding="utf-8"
        )
    assert storage.run(MOST_PER_HOUR="3").returncode == 0
    answers = [storage.answer(name_of("hub-prod", f"home-{index}")) for index in range(4)]
    assert [answer["status"] for answer in answers] == ["made", "made", "made", "refused"]
    assert answers[3]["reason"] == "3 homes were made within an hour, which is the most"
    made = storage.folder / "state/made"
    made.write_text("1000000000\n" * 3, encoding="utf-8")
    (storage.requests / name_of("hub-prod", "home-3")).write_text(lines(claim="home-3"), encoding="utf-8")
    assert storage.run(MOST_PER_HOUR="3").returncode == 0
    assert storage.answer(name_of("hub-prod", "home-3"))["status"] == "made"


def test_a_flood_is_thrown_away_unread(storage: Storage) -> None:
    for index in range(30):
        (storage.requests / name_of("hub-prod", f"home-{index:02}")).write_text("junk", encoding="utf-8")
    done = storage.run(MOST_PENDING="10")
    assert done.returncode == 0, done.stderr
    assert "20 of 30 requests at once were thrown away" in done.stdout
    assert len(list(storage.answers.iterdir())) == 10
    assert list(storage.requests.iterdir()) == []


def test_a_server_that_has_to_be_told_is_told_once_for_several_and_again_until_it_listens(storage: Storage) -> None:
    settings = Path(storage.settings)
    told = storage.folder / "told"
    tell = storage.folder / "bin" / "tell"
    tell.write_text(f"#!/bin/bash\necho told >>{told}\nexec test -e {storage.folder}/listens\n", encoding="utf-8")
    tell.chmod(0o755)
    settings.write_text(settings.read_text(encoding="utf-8") + "AFTER_MAKING='tell now'\n", encoding="utf-8")

    def ask_for(*claims: str) -> int:
        for claim in claims:
            (storage.requests / name_of("hub-prod", claim)).write_text(lines(claim=claim), encoding="utf-8")
        done = storage.run()
        assert done.returncode == 0, done.stderr
        assert all(storage.answer(name_of("hub-prod", claim))["status"] != "refused" for claim in claims)
        return told.read_text(encoding="utf-8").count("told")

    assert ask_for("home-a", "home-b", "home-c") == 1
    (storage.folder / "listens").touch()
    assert ask_for("home-a") == 2
    assert ask_for("home-a") == 2
    assert ask_for("home-d") == 3


def test_root_gives_a_home_by_hand(storage: Storage) -> None:
    done = storage.run("--make", "hub-prod", "hub-db-dir", "500", "500")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "made"), done.stderr
    refused = storage.run("--make", "hub-prod", "../x", "500", "500")
    assert refused.returncode == 65
    assert "no names of Kubernetes" in refused.stderr
    assert storage.run("--make", "hub-prod", "x", "0", "0").returncode == 65


def test_without_a_pool_nothing_is_done(storage: Storage) -> None:
    storage.answers.rmdir()
    done = storage.run()
    assert done.returncode == 0
    assert "not there yet" in done.stdout
