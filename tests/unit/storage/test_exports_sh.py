"""The exports' scripts: the kernel's server, which no host of the tests has, and what is mounted beneath ganesha's."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.nodes.steps import Step, compose_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.nodes.steps import PlainValue

FILES = Path(__file__).parents[3] / "components" / "storage" / "files"
SECONDS = 60
"""For one run, on a busy machine."""
STUBS = {
    # Of units: those that run are files in $UNITS_RUN; masked ones are links, as systemd has them.
    "systemctl": """printf '%s\\n' "$*" >>"$CALLS"
unit=${!#}
case "$1" in
is-active) [[ -f $UNITS_RUN/$unit ]] ;;
is-enabled) [[ -f $UNITS_RUN/$unit ]] && echo enabled ;;
mask) ln -sfn /dev/null "$UNITS/$unit" ;;
unmask) rm -f "$UNITS/$unit" ;;
start | restart | reload-or-restart) touch "$UNITS_RUN/$unit" ;;
stop | disable) rm -f "$UNITS_RUN/$unit" ;;
esac""",
    "dpkg-query": """for name in "${@:3}"; do printf '%s\\tinstalled\\t1\\n' "$name"; done""",
    # As exportfs(8) does: one line per client, from the files; a word it does not know is an error.
    "exportfs": """printf 'exportfs %s\\n' "$*" >>"$CALLS"
if [[ -n ${EXPORTFS_SAYS:-} ]]; then echo "$EXPORTFS_SAYS" >&2; exit 1; fi
: >"$ETAB"
[[ -f $KERNEL_EXPORTS ]] || exit 0
while read -r path options clients; do
    for client in $clients; do printf '%s\\t%s(%s)\\n' "$path" "${client%(*}" "$options" >>"$ETAB"; done
done < <(sed -e ':again' -e '/\\\\$/N; s/\\\\\\n//; t again' "$KERNEL_EXPORTS")""",
}
EXPORTS = "/tank/a -sync \\\n    192.0.2.1(rw) \\\n    192.0.2.2(rw)\n/tank/b -sync \\\n    192.0.2.1(ro)\n"


@dataclass(frozen=True)
class Store:
    """A folder that stands for a storage host."""

    folder: Path

    @property
    def etab(self) -> Path:
        return self.folder / "etab"

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def run(self, mode: str, values: Mapping[str, PlainValue], says: str = "") -> subprocess.CompletedProcess[str]:
        """Run the step of the kernel's server."""
        places = {
            "UNITS": "units",
            "ETAB": "etab",
            "KERNEL_SETTINGS": "nfs.conf.d/ours.conf",
            "KERNEL_EXPORTS": "exports.d/ours.exports",
            "GANESHA_FOLDER": "ganesha",
            "STATE_FOLDER": "state",
            "CACHE_FOLDER": "cache",
            "LOCK_FILE": "lock",
        }
        given: Mapping[str, PlainValue] = {
            **{name: str(self.folder / place) for name, place in places.items()},
            "STEP_HOST": "store-1",
            "RECONVERGE": 0,
            "SERVER": "kernel",
            "SETTINGS": "[nfsd]\nthreads=16\n",
            "EXPORTS": EXPORTS,
            "EXPORTED": ("/tank/a 2", "/tank/b 1"),
            "BENEATH_SCRIPT": None,
            **values,
        }
        environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "CALLS": str(self.folder / "calls"),
            "UNITS_RUN": str(self.folder / "running"),
            "UNITS": str(self.folder / "units"),
            "ETAB": str(self.etab),
            "KERNEL_EXPORTS": str(self.folder / "exports.d/ours.exports"),
            "EXPORTFS_SAYS": says,
        }
        step = Step(name="exports", subject="store-1", host="store-1", values={})
        return subprocess.run(
            ["bash", "-s", mode],  # noqa: S607 - the machine's own bash, with stubs before it
            input=compose_whole(step, given),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env=environment,
        )

    def changed(self, mode: str = "apply", **values: PlainValue) -> list[str]:
        """Return what a run that must succeed changed."""
        done = self.run(mode, values)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["changed"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A storage host with the kernel's server installed and not running."""
    for folder in ("bin", "units", "running"):
        (tmp_path / folder).mkdir()
    for name, body in STUBS.items():
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
    return Store(tmp_path)


def test_the_kernel_s_server_exports_once_and_again_changes_nothing(store: Store) -> None:
    done = store.changed()
    assert done[-1] == "exports"
    assert {"service nfs-server.service", "masked rpcbind.socket", "masked rpc-statd.service"} <= set(done)
    assert store.etab.read_text(encoding="utf-8").count("\n") == 3
    assert store.changed() == []
    assert store.changed("check") == []


def test_a_client_more_is_told_without_a_restart(store: Store) -> None:
    store.changed()
    before = len(store.calls)
    more = EXPORTS.replace("192.0.2.2(rw)", "192.0.2.2(rw) \\\n    192.0.2.3(rw)")
    assert store.changed(EXPORTS=more, EXPORTED=("/tank/a 3", "/tank/b 1")) == [
        f"file {store.folder / 'exports.d/ours.exports'}",
        "exports",
    ]
    assert "exportfs -ra" in store.calls[before:]
    assert not [call for call in store.calls[before:] if call.split()[0] in {"restart", "reload-or-restart", "stop"}]


def test_other_settings_restart_the_server(store: Store) -> None:
    store.changed()
    changed = store.changed(SETTINGS="[nfsd]\nthreads=32\n")
    assert "service nfs-server.service" in changed
    assert "restart -- nfs-server.service" in store.calls


def test_exports_that_somebody_took_back_are_seen_and_made_again(store: Store) -> None:
    store.changed()
    store.etab.write_text("/tank/a\t192.0.2.1(rw)\n", encoding="utf-8")
    assert store.changed("check") == ["exports"]
    assert store.etab.read_text(encoding="utf-8").count("\n") == 1
    assert store.changed() == ["exports"]
    assert store.etab.read_text(encoding="utf-8").count("\n") == 3


def test_what_exportfs_refuses_is_said_and_tried_again(store: Store) -> None:
    failed = store.run("apply", {}, says="exportfs: ours.exports:1: unknown keyword 'x'")
    assert failed.returncode == 70
    assert "unknown keyword 'x'" in failed.stderr
    assert store.changed() == ["exports"]


def test_undone_it_exports_nothing_of_ours(store: Store) -> None:
    store.changed()
    done = store.changed("undo")
    assert f"absent {store.folder / 'exports.d/ours.exports'}" in done
    assert {"no service nfs-server.service", "unmasked rpcbind.socket"} <= set(done)
    assert store.etab.read_text(encoding="utf-8") == ""
    assert store.changed("undo") == []


def test_undone_others_exports_go_on(store: Store) -> None:
    store.changed()
    (store.folder / "bin" / "exportfs").write_text(
        "#!/bin/bash\nprintf '/srv\\tother(rw)\\n' >\"$ETAB\"\n", encoding="utf-8"
    )
    assert "no service nfs-server.service" not in store.changed("undo")


# --- what is mounted beneath exports of nfs-ganesha

DECLARED = """EXPORT {
    # With what is mounted beneath.
    Export_Id = 7;
    Path = /tank/homes;
    Pseudo = /tank/homes;
    CLIENT {
        Clients =
            192.0.2.1;
        Access_Type = RW;
    }
}
EXPORT {
    Export_Id = 9;
    Path = /tank/scratch;
    Pseudo = /tank/scratch;
}
"""


def beneath(folder: Path, *mounted: str) -> str:
    """Return what is exported beneath, with these paths mounted."""
    (folder / "research-compute-exports.conf").write_text(DECLARED, encoding="utf-8")
    mounts = "".join(f"dataset {path} zfs rw 0 0\n" for path in mounted)
    (folder / "mounts").write_text(f"proc /proc proc rw 0 0\n{mounts}", encoding="utf-8")
    places = {"GANESHA_FOLDER": str(folder), "STATE_FOLDER": str(folder / "state"), "MOUNTS": str(folder / "mounts")}
    done = subprocess.run(
        ["bash", FILES / "ganesha-exports.sh"],  # noqa: S607 - the machine's own bash
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, **places},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return (folder / "research-compute-beneath.conf").read_text(encoding="utf-8")


def exported(text: str) -> dict[str, int]:
    """Return the number of each path."""
    lines = [line.strip().rstrip(";") for line in text.splitlines()]
    paths = [line.removeprefix("Path = ") for line in lines if line.startswith("Path = ")]
    numbers = [int(line.removeprefix("Export_Id = ")) for line in lines if line.startswith("Export_Id = ")]
    return dict(zip(paths, numbers, strict=True))


def test_every_home_is_an_export_like_the_one_it_lies_in(tmp_path: Path) -> None:
    text = beneath(
        tmp_path, "/tank/homes", "/tank/homes/hub", "/tank/homes/hub/ada", "/tank/scratch/x", "/tank/homesick"
    )
    assert list(exported(text)) == ["/tank/homes/hub", "/tank/homes/hub/ada"]
    assert text.count("Pseudo = /tank/homes/hub/ada;") == 1
    assert text.count("            192.0.2.1;\n        Access_Type = RW;\n") == 2
    assert "mounted beneath" not in text


def test_a_number_stays_whatever_comes_and_goes(tmp_path: Path) -> None:
    homes = [f"/tank/homes/hub/user-{index}" for index in range(60)]
    first = exported(beneath(tmp_path, "/tank/homes", *homes[:30]))
    second = exported(beneath(tmp_path, "/tank/homes", *homes[20:]))
    third = exported(beneath(tmp_path, "/tank/homes", *homes))
    assert {path: third[path] for path in first} == first
    assert {path: third[path] for path in second} == second
    assert len(set(third.values())) == len(homes)
    assert all(30_000 < number < 65_536 for number in third.values())


def test_snapshots_and_strange_names_are_left_out(tmp_path: Path) -> None:
    strange = "/tank/homes/hub/a;Clients=*"
    text = beneath(tmp_path, "/tank/homes", "/tank/homes/hub/ada/.zfs/snapshot/daily", strange, "/tank/homes/a\\040b")
    assert exported(text) == {}
