"""Backup and restore on a real host: restic to an S3 server and to a directory, and back by ``labctl restore``.

The file systems are zfs-fuse's, of which snapshots are shown by clones; kernel ZFS mounts them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from datetime import datetime

import pytest
from backup_lab import DATASETS, HOMES, MARK, UNIT, BackupLab, make_backup_lab
from bed import Bed

from labctl.exit_codes import ExitCode

ADA = f"{HOMES}/claim-ada"
BOB = f"{HOMES}/claim-bob"
DATABASE = f"{HOMES}/hub-db-dir"
ADAS = "home/hub-test-backup/claim-ada"
REPLACED = ("shared/datasets", "--in-place", "--allow-destroy", "tank/datasets", "--from", "repository")
BULK_MIB = 24
"""Of incompressible data: enough to be cut off in the middle of, and for a rate."""

_WRITE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("create table users (name text)")
connection.executemany("insert into users values (?)", [(str(i),) for i in range(100)])
connection.commit()
connection.execute("pragma cache_size=1")
connection.execute("pragma cache_spill=on")
connection.executemany("insert into users values (?)", [("half" * 2000,) for _ in range(50)])
os._exit(0)
"""
_COUNT = """
import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("select count(*) from users").fetchone())
"""


@pytest.fixture(scope="module")
def lab(make_bed: Callable[[int], Bed], tmp_path_factory: pytest.TempPathFactory) -> Generator[BackupLab]:
    """A host with people's data, backed up once into a bucket."""
    with make_backup_lab(make_bed(1), tmp_path_factory.mktemp("backup")) as lab:
        people(lab)
        lab.set_up(lab.storage())
        # The step has started the first one.
        lab.shell(f"while [[ $(systemctl show -P ActiveState {UNIT}) == activating ]]; do sleep 0.2; done")
        yield lab


def people(lab: BackupLab) -> None:
    """Fill homes, a group's folder, a shared one and the hub's database with all that a file system can hold."""
    lab.shell(rf"""set -e
    for home in claim-ada claim-bob hub-db-dir; do zfs create -p {HOMES}/$home; done
    zfs set quota=100M {ADA}
    cd /{ADA}
    mkdir -p notes/deep .config 'with space'
    echo '{MARK}' >notes/deep/first
    ln notes/deep/first notes/second
    ln -s /etc/passwd notes/link
    mkfifo notes/pipe
    printf x >$'with space/odd [1]*?\\ \n.txt'
    printf '%s' "$(seq 5000)" >big
    truncate -s 3M sparse
    head -c 60 /dev/zero >cached; mkdir cache; cp cached cache/file
    printf 'Signature: 8a477f597d28d172789f06886806bc55\n' >cache/CACHEDIR.TAG
    chmod 4750 big; chmod 2770 notes; chmod 700 .config
    python3 -c 'import os; os.setxattr("big", "user.origin", b"beam 7")'
    setfacl -m u:1002:rwx notes
    chown -R 1001:100 .; chown -h 1001:100 notes/link; chmod 4750 big; chmod 2770 notes
    touch -d '2001-02-03 04:05:06.789123' notes/deep/first; touch -d '2011-11-11 11:11:11' notes notes/deep .
    echo "bob's" >/{BOB}/own; chown -R 1002:100 /{BOB}; chmod 700 /{BOB}
    echo data >/tank/datasets/set; echo result >/tank/groups/physics/result; chown :5001 /tank/groups/physics/result
    echo gone >/tank/scratch/temporary
    """)
    write_database(lab)


def write_database(lab: BackupLab) -> None:
    """Leave the hub's database with 100 rows, and a transaction that somebody is in the middle of."""
    lab.shell(f"python3 - /{DATABASE}/jupyterhub.sqlite <<'END'\n{_WRITE}END\n")
    lab.shell(f"chown -R 1000:1000 /{DATABASE}; chmod 600 /{DATABASE}/*")


def test_a_copy_is_made_into_a_bucket_and_nobody_can_read_it_there(lab: BackupLab) -> None:
    (copy,) = lab.copies()
    assert copy["hostname"] == lab.host.name
    listed = lab.restic("ls", "latest").splitlines()
    assert f"/{ADA.replace('/', '+')}/notes/deep/first" in listed
    assert not any("temporary" in path or "cache/file" in path for path in listed)
    assert lab.hosts.check(lab.storage(), ("data-backup",)) == {}
    units = lab.shell(f"cat /etc/systemd/system/{UNIT}* /usr/local/sbin/research-compute-data-*; ps axe")
    assert "correct horse" not in units
    assert "canary-key" not in units
    files = lab.shell("stat -c '%a %U' /etc/research-compute/data-backup /etc/research-compute/data-backup/*")
    assert files.splitlines() == ["700 root", *["600 root"] * 3]
    everything = lab.bucket_content()
    assert len(everything) > 1000
    assert MARK.encode() not in everything
    assert b"jupyterhub" not in everything
    assert leftovers(lab) == ""


def leftovers(lab: BackupLab) -> str:
    """Return what a backup or a restore has left: snapshots of its own, clones, mounts, folders."""
    return lab.shell(
        "zfs list -H -r -t all -o name tank | grep -e @research-compute-backup -e views || true; "
        "grep data-views /proc/mounts || true; find /run/research-compute -mindepth 1; "
        "find /tank -name '.research-compute*'"
    )


def test_a_file_comes_back_beside_what_is_there(lab: BackupLab) -> None:
    before = lab.tree(f"/{ADA}")
    lab.shell(f"rm /{ADA}/notes/deep/first; echo newer >/{ADA}/big")
    out = lab.restored("folder", ADAS, "--path", "notes/deep", "--dry-run")
    assert "to come: 1 files" in out
    assert "restored-" not in lab.shell(f"ls /{ADA}")
    out = lab.restored("folder", ADAS, "--path", "notes/deep")
    assert "from the repository" in out
    (folder,) = lab.shell(f"ls -d /{ADA}/restored-*").split()
    assert f"restored {ADA} to {folder}/notes/deep" in out
    after = lab.tree(folder)
    first = f"/{ADA}/notes/deep/first"
    assert after[f"{folder}/notes/deep/first"][:4] == before[first][:4]
    assert after[f"{folder}/notes/deep/first"][5:] == before[first][5:]
    assert [entry[1:3] for entry in after.values()] == [[1001, 100]] * 4, "nobody but its owner has it"
    assert lab.shell(f"cat /{ADA}/big") == "newer\n"
    again = lab.labctl("folder", ADAS, "--path", "notes/deep")
    assert again.code == ExitCode.REFUSED
    assert "is there already" in again.err
    missing = lab.labctl("folder", ADAS, "--path", "notes/nothing")
    assert (missing.code, "has no notes/nothing" in missing.err) == (ExitCode.REFUSED, True)
    lab.shell(f"rm -r /{ADA}/restored-*")
    assert leftovers(lab) == ""


def test_a_home_is_replaced_only_if_it_is_named_and_nobody_uses_it(lab: BackupLab) -> None:
    unnamed = lab.labctl("folder", ADAS, "--in-place")
    assert unnamed.code == ExitCode.REFUSED
    assert f"--allow-destroy {ADA}" in unnamed.err
    unknown = lab.labctl("folder", ADAS, "--in-place", "--allow-destroy", ADA)
    assert unknown.code == ExitCode.REFUSED
    assert "no cluster to ask" in unknown.err
    assert lab.shell(f"cat /{ADA}/big") == "newer\n"
    named = ("--in-place", "--allow-destroy", ADA, "--cluster-is-down")
    out = lab.restored("folder", ADAS, *named)
    assert "stays in the snapshot" in out
    assert lab.shell(f"cat /{ADA}/notes/deep/first") == f"{MARK}\n"
    assert lab.shell(f"stat -c '%a %u %g' /{ADA}/big /{ADA}/notes").split("\n")[:2] == [
        "4750 1001 100",
        "2770 1001 100",
    ]
    (kept,) = lab.shell(f"zfs list -H -t snapshot -o name -r {ADA}").split()
    assert kept.startswith(f"{ADA}@research-compute-before-restore-")
    # What was there a moment ago is a snapshot now, and nearer than the repository.
    local = lab.restored("folder", ADAS, "--path", "big")
    assert "from the snapshot on the storage host research-compute-before-restore-" in local
    assert lab.shell(f"cat /{ADA}/restored-*/big") == "newer\n"
    assert "from the repository" in lab.restored("folder", ADAS, "--path", "big", "--from", "repository", "--dry-run")
    missing = lab.labctl("folder", ADAS, "--path", "nowhere", "--from", "local")
    assert (missing.code, "has no nowhere in" in missing.err) == (ExitCode.REFUSED, True)
    lab.shell(f"rm -r /{ADA}/restored-*; zfs destroy {kept}")
    assert leftovers(lab) == ""


def test_copies_are_listed(lab: BackupLab) -> None:
    lab.shell(f"zfs snapshot {ADA}@autosnap_hourly")
    found = lab.labctl("list", ADAS, "--json").json
    assert [copy["source"] for copy in found["copies"]] == ["repository", "local"]
    assert found["copies"][1]["snapshot"] == f"{ADA}@autosnap_hourly"
    out = lab.restored("list", ADAS)
    assert "autosnap_hourly" in out
    assert lab.copies()[0]["id"][:8] in out
    early = lab.labctl("folder", ADAS, "--at", "2020-01-01")
    assert early.code == ExitCode.ABSENT
    assert "there are 2, from" in early.err
    lab.shell(f"zfs destroy {ADA}@autosnap_hourly")


def test_the_hub_s_database_comes_back_whole(lab: BackupLab) -> None:
    out = lab.restored("folder", "hub-database")
    assert "jupyterhub.sqlite is whole" in out
    (folder,) = lab.shell(f"ls -d /{DATABASE}/restored-*").split()
    count = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('select count(*) from users').fetchone()[0])"
    )
    assert lab.shell(f'python3 -c "{count}" {folder}/jupyterhub.sqlite') == "100\n", (
        "without the one that was under way"
    )
    lab.shell(f"rm -r {folder}")
    named = ("--in-place", "--allow-destroy", DATABASE, "--cluster-is-down")
    lab.shell(f"rm /{DATABASE}/*; echo broken >/{DATABASE}/jupyterhub.sqlite")
    lab.restored("folder", "hub-database", *named, "--from", "repository")
    assert lab.shell(f"stat -c '%a %u' /{DATABASE}/jupyterhub.sqlite") == "600 1000\n"
    assert rows(lab, f"/{DATABASE}") == 100
    # The snapshot of what was there before has a database that is none.
    damaged = lab.labctl("folder", "hub-database", *named, "--from", "local")
    assert damaged.code == ExitCode.REFUSED
    assert "is damaged: file is not a database" in damaged.err
    assert rows(lab, f"/{DATABASE}") == 100
    lab.shell(f"zfs list -H -t snapshot -o name -r {DATABASE} | xargs -n 1 zfs destroy")


def rows(lab: BackupLab, folder: str) -> int:
    """Return how many users the database in a folder has."""
    counting = (
        "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('select count(*) from users').fetchone())"
    )
    return int(lab.shell(f'python3 -c "{counting}" {folder}/jupyterhub.sqlite'))


def test_a_backup_that_is_killed_is_made_good_by_the_next(lab: BackupLab) -> None:
    lab.shell(f"head -c {BULK_MIB}M /dev/urandom >/tank/datasets/bulk")
    before = len(lab.copies())
    lab.shell(f"""systemctl start --no-block {UNIT}
    for attempt in $(seq 600); do pgrep -f 'restic backup' >/dev/null && break; sleep 0.05; done
    sleep 0.3; systemctl kill --signal=KILL {UNIT}; sleep 0.5""")
    assert "views" in leftovers(lab)
    assert len(lab.copies()) == before
    assert f"{UNIT}.service failed" in str(lab.hosts.check(lab.storage(), ("data-backup",)))
    lab.restic("list", "locks")
    lab.back_up()
    assert len(lab.copies()) == before + 1
    assert lab.restic("list", "locks") == ""
    assert leftovers(lab) == ""
    assert lab.hosts.check(lab.storage(), ("data-backup",)) == {}


def test_a_restore_that_is_killed_is_made_good_by_the_next(lab: BackupLab) -> None:
    whole = lab.tree("/tank/datasets")
    lab.shell("rm /tank/datasets/bulk; echo later >/tank/datasets/later")
    kill_during_restore(lab, *REPLACED)
    assert lab.shell("cat /tank/datasets/later") == "later\n", "nothing is replaced before all has arrived"
    out = lab.restored(
        "folder", "shared/datasets", "--in-place", "--allow-destroy", "tank/datasets", "--from", "repository"
    )
    assert "restored tank/datasets to /tank/datasets" in out
    assert lab.tree("/tank/datasets") == whole
    assert leftovers(lab) == ""
    # Cut off between arriving and taking the place: the next one goes on.
    lab.shell("""set -e; cd /tank/datasets; mkdir -m 700 .research-compute-arrived
    cp -a /tank/datasets/set .research-compute-arrived/; mkdir .research-compute-arrived/tank+datasets
    mv .research-compute-arrived/set .research-compute-arrived/tank+datasets/; rm bulk""")
    out = lab.restored(
        "folder", "shared/datasets", "--in-place", "--allow-destroy", "tank/datasets", "--from", "repository"
    )
    assert "everything had arrived before" in out
    assert set(lab.tree("/tank/datasets")) == {"/tank/datasets", "/tank/datasets/set"}
    lab.shell("zfs list -H -t snapshot -o name -r tank/datasets | xargs -n 1 zfs destroy")


def kill_during_restore(lab: BackupLab, *arguments: str) -> None:
    """Begin a restore from the repository and kill it, on both machines, while files arrive."""
    process = lab.copy.start("restore", "folder", *arguments)
    lab.shell("""for attempt in $(seq 600); do pgrep -f 'restic restore' >/dev/null && break; sleep 0.05; done
    pkill -KILL -f 'restic restore'; pkill -KILL -f 'bash -s restore'; true""")
    process.kill()
    process.communicate()


def test_a_wrong_password_is_told_at_once(lab: BackupLab) -> None:
    (step,) = lab.hosts.steps(lab.storage(key="wrongPassword"), names=("data-backup",))
    report = lab.hosts.run(step)
    assert report.code != 0
    assert "does not open" in report.err
    assert "horse" not in report.err
    refused = lab.labctl("list", ADAS)
    assert refused.code == ExitCode.FAILED
    assert "does not open" in refused.err
    lab.set_up(lab.storage())
    assert lab.restored("list", ADAS)


def test_old_copies_go_and_the_repository_is_read_through(lab: BackupLab) -> None:
    for days in (400, 40, 3, 2):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - days * 86400))
        tags = f"--tag research-compute-data --host {lab.host.name}"
        lab.restic(f"backup --time '{when}' {tags} /etc/hostname")
    lab.restic("backup --tag etcd --host elsewhere /etc/hostname")
    lab.set_up(lab.storage(daily=2, weekly=0, monthly=2))
    lab.back_up()
    ages = [
        round((time.time() - stamp(copy["time"])) / 86400) for copy in lab.copies() if copy["hostname"] != "elsewhere"
    ]
    # The last three in any case, the last two days', and the last two months'.
    assert 400 not in ages
    assert {0, 2} <= set(ages) or {0, 40} <= set(ages)
    assert len(lab.copies()) == len(ages) + 1, "others' copies in the repository are theirs"
    lab.shell(f"systemctl start {UNIT}-verify")
    lab.shell(f"systemctl start --no-block {UNIT}-verify; {UNIT} 2>/dev/null || true", check=False)
    lab.set_up(lab.storage())
    lab.back_up()


def stamp(text: str) -> float:
    return datetime.fromisoformat(text[:19] + "+00:00").timestamp()


def test_everything_comes_back_onto_new_disks(lab: BackupLab) -> None:
    lab.shell(f"head -c {BULK_MIB}M /dev/urandom >/tank/datasets/bulk; rm -r /{ADA}/cache")
    lab.back_up()
    folders = ("/tank/homes", f"/{ADA}", f"/{BOB}", f"/{DATABASE}", "/tank/datasets", "/tank/groups/physics")
    before, last = lab.tree(*folders), lab.copies()[-1]
    lab.lay_pools()
    # The new pool is empty: a copy of it would push out those that everything is restored from.
    (step,) = lab.hosts.steps(lab.storage(), names=("data-backup",))
    lab.shell("rm -rf /etc/research-compute/data-backup /var/lib/research-compute/data-backup")
    assert "not those of the newest copy" in lab.hosts.run(step).err
    assert "not those of the newest copy" in lab.shell(f"{UNIT} 2>&1", check=False)
    assert lab.copies()[-1] == last

    shown = lab.restored("everything", "--dry-run")
    assert f"would be made and restored: {ADA}" in shown
    assert ADA not in lab.shell("zfs list -H -o name")
    process = lab.copy.start("restore", "everything", "--yes")
    lab.shell("""for attempt in $(seq 900); do pgrep -f 'restic restore' >/dev/null && break; sleep 0.05; done
    pkill -KILL -f 'restic restore'; pkill -KILL -f 'bash -s restore'; true""")
    process.kill()
    process.communicate()
    out = lab.restored("everything", "--yes")
    assert f"restored {ADA} to /{ADA}" in out
    assert lab.tree(*folders) == before
    assert lab.shell(f"zfs get -H -p -o value quota {ADA}") == f"{100 * 2**20}\n"
    assert lab.shell("zfs list -H -o name tank/scratch; ls -A /tank/scratch") == "tank/scratch\n"
    assert lab.hosts.check(lab.storage(), DATASETS) == {}
    assert leftovers(lab) == ""
    lab.back_up()
    assert len(lab.copies()) > 1
    assert "restored before" in lab.restored("everything", "--yes", "--snapshot", last["id"])


def test_a_directory_is_one_of_another_machine(lab: BackupLab) -> None:
    (step,) = lab.hosts.steps(lab.storage("/srv/backup"), names=("data-backup",))
    assert "there is no folder /srv/backup" in lab.hosts.run(step).err
    lab.shell("mkdir -p /srv/backup")
    assert "lies on this host's own disk" in lab.hosts.run(step).err
    lab.shell("zfs create -o mountpoint=/srv/backup tank/inside")
    assert "lies in the pool tank" in lab.hosts.run(step).err
    lab.shell("zfs destroy tank/inside; mkdir -p /srv/backup; mount -t tmpfs other-machine /srv/backup")
    lab.set_up(lab.storage("/srv/backup"))
    lab.back_up()
    lab.shell(f"rm -r /{BOB}/*")
    out = lab.restored("folder", "home/hub-test-backup/claim-bob", "--from", "repository")
    assert "from the repository" in out
    assert lab.shell(f"cat /{BOB}/restored-*/own") == "bob's\n"
    lab.shell("umount /srv/backup")
    refused = lab.shell(f"{UNIT} 2>&1", check=False)
    assert "lies on this host's own disk" in refused


def test_leaving_takes_nothing_along(lab: BackupLab) -> None:
    copies = lab.tree(f"/{ADA}")
    lab.hosts.undo(lab.storage(), ("data-backup",))
    assert lab.tree(f"/{ADA}") == copies
    assert lab.shell("ls /etc/research-compute/data-backup 2>&1", check=False).endswith("No such file or directory\n")
    assert UNIT not in lab.shell("systemctl list-timers --all --no-pager")
    told = lab.labctl("list", ADAS)
    assert (told.code, "backups are not set up on this host" in told.out) == (0, True)
