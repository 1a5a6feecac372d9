"""Snapshots by sanoid and copies by syncoid between two hosts: taken, pruned, fetched, cut off, refused, taken back."""

from __future__ import annotations

import configparser
import time
from collections.abc import Callable, Generator

import pytest
from bed import Bed, Host
from bed_errors import CommandFailedError
from storage_hosts import lay_disks, prepare_storage
from storage_pair import FETCH, LOGIN, NAMES, UNIT, Pair, names, settled
from zfs_shim import calls, forget_calls, install_shim, later


@pytest.fixture(scope="module")
def pair(make_bed: Callable[[int], Bed], tmp_path_factory: pytest.TempPathFactory) -> Generator[Pair]:
    """Two hosts with a pool each, homes in the first's."""
    with prepare_storage(make_bed(2), tmp_path_factory.mktemp("bundle") / "bundle") as hosts:
        made = Pair(hosts)
        for host in (made.first, made.second):
            lay_disks(host, "a")
            install_shim(host)
        hosts.up(made.storage, ("zfs", "pool", "datasets"))
        made.first.console(
            "zfs create tank/homes/hub; zfs create -o research-compute:home=1000:100 tank/homes/hub/claim-ada;"
            "echo thesis > /tank/homes/hub/claim-ada/thesis; echo set > /tank/data/set; echo x > /tank/scratch/x"
        )
        yield made


def test_snapshots_are_taken_at_once(pair: Pair) -> None:
    changed = pair.run("snapshots").changed
    assert "file /etc/sanoid/sanoid.conf" in changed
    taken = names(pair.first, "tank")
    roots = {name.split("@")[0] for name in taken}
    assert roots == {"tank/homes", "tank/homes/hub", "tank/homes/hub/claim-ada", "tank/data"}
    assert {name.rsplit("_", 1)[1] for name in taken} == {"hourly", "daily"}
    assert pair.run("snapshots").changed == ()
    assert pair.run("snapshots", "check").changed == ()
    written = configparser.ConfigParser()
    written.read_string(pair.first.console("cat /etc/sanoid/sanoid.conf"))
    assert written["tank/homes"]["recursive"] == "yes"
    assert written["template_lab"]["hourly"] == "36"
    assert pair.first.console("systemctl is-active sanoid.timer").strip() == "active"


def test_a_home_made_later_is_in_the_next_run(pair: Pair) -> None:
    pair.first.console("zfs create tank/homes/hub/claim-ben")
    assert pair.run("snapshots", "check").changed == ()
    pair.first.console("systemctl start sanoid.service")
    assert len(names(pair.first, "tank/homes/hub/claim-ben")) == 2


def test_snapshots_that_no_longer_come_are_a_difference(pair: Pair) -> None:
    time.sleep(1)
    late = pair.run("snapshots", "check", LIMIT_SECONDS=0).changed
    assert any(line.startswith("newest snapshot of tank/homes/hub/claim-ada is ") for line in late)
    assert not any("scratch" in line for line in late)
    # The timer's own run sees it, too.
    failed = pair.run("snapshots", LIMIT_SECONDS=0)
    assert failed.code == 70
    assert "sanoid does not run" in failed.err
    assert "sanoid.service failed (journalctl --unit sanoid)" in pair.run("snapshots", "check").changed
    assert pair.run("snapshots").code == 0
    assert pair.run("snapshots", "check").changed == ()


def test_what_is_past_its_time_is_pruned_and_no_more(pair: Pair) -> None:
    kept = pair.snapshots["hourly"]
    pair.snapshots["hourly"] = 1
    try:
        assert pair.run("snapshots").changed == ("file /etc/sanoid/sanoid.conf",)
        pair.snap()
        last = pair.snap()
        hourly = {name for name in names(pair.first, "tank/data") if name.endswith("_hourly")}
        assert len(hourly) == 3
        prune = "sanoid --prune-snapshots --verbose --force-update"
        pair.first.console(f"{prune}; {later(7200)} {prune}")
        left = names(pair.first, "tank/data")
        assert {name for name in left if name.endswith("_hourly")} == {f"tank/data@{last}"}
        assert {name for name in left if name.endswith("_daily")}
    finally:
        pair.snapshots["hourly"] = kept
        pair.run("snapshots")


def test_somebody_elses_configuration_is_left_alone(pair: Pair) -> None:
    ours = pair.first.console("cat /etc/sanoid/sanoid.conf")
    pair.first.console("printf '[tank/old]\\nuse_template = production\\n' > /etc/sanoid/sanoid.conf")
    refused = pair.run("snapshots")
    assert refused.code == 65
    assert "somebody else's" in refused.err
    assert "tank/old" in pair.first.console("cat /etc/sanoid/sanoid.conf")
    pair.first.run("cat > /etc/sanoid/sanoid.conf", sudo=True, text=ours)
    assert pair.run("snapshots").changed == ()


def test_a_wrong_host_key_is_refused(pair: Pair) -> None:
    assert pair.run("replica-key").changed
    assert pair.run("replica-access").changed
    refused = pair.run("replica", HOST_KEY=pair.second.host_key)
    assert refused.code == 70
    assert "Host key verification failed" in refused.err
    assert f"cannot read from {pair.first.name}" in refused.err
    assert pair.second.console("zfs list -H -r -t snapshot -o name vault") == ""


def test_everything_is_copied(pair: Pair) -> None:
    assert "file /etc/research-compute/replica/known_hosts" in pair.run("replica").changed
    assert settled(pair) == "inactive", pair.second.console(f"journalctl -u {UNIT} -n 40 --no-pager")
    for root in ("tank/homes", "tank/data"):
        assert names(pair.second, f"vault/{root}") == {f"vault/{name}" for name in names(pair.first, root)}
    copied = pair.second.console("zfs list -H -r -o name,mounted,mountpoint,readonly vault/tank").splitlines()
    assert {tuple(line.split("\t")[1:]) for line in copied} == {("no", "none", "on")}
    owner = pair.second.console("zfs get -H -o value research-compute:home vault/tank/homes/hub/claim-ada")
    assert owner.strip() == "1000:100"
    assert pair.check() == {}
    assert pair.up() == {}


def test_only_what_is_new_is_sent(pair: Pair) -> None:
    forget_calls(pair.first)
    pair.fetch()
    assert calls(pair.first, "send") == []
    base = sorted(names(pair.first, "tank/homes/hub/claim-ada"))
    pair.first.console("rm /tank/homes/hub/claim-ada/thesis; echo more > /tank/homes/hub/claim-ada/more")
    name = pair.snap()
    pair.fetch()
    sent = [line.split() for line in calls(pair.first, "send")]
    (ada,) = [words for words in sent if words[-1] == f"tank/homes/hub/claim-ada@{name}"]
    assert "-I" in ada
    assert ada[-2] in base
    assert all("-I" in words for words in sent)


def test_copies_that_no_longer_come_are_a_difference(pair: Pair) -> None:
    settings = "/etc/research-compute/replica/settings"
    pair.second.console(
        f"cp -p {settings} /root/settings; sed -i 's/^LIMIT_SECONDS=.*/LIMIT_SECONDS=-7200/' {settings}"
    )
    late = pair.run("replica", "check").changed
    pair.second.console(f"mv /root/settings {settings}")
    assert any(line.startswith("newest snapshot of vault/tank/homes/hub/claim-ada is ") for line in late)
    assert not any("until-now" in line or "scratch" in line for line in late)
    assert pair.run("replica", "check").changed == ()


def test_what_was_deleted_is_in_the_copies(pair: Pair) -> None:
    oldest = pair.second.console(
        "zfs list -H -r -t snapshot -o name vault/tank/homes/hub/claim-ada | head -n 1"
    ).strip()
    last = pair.second.console("zfs list -H -r -t snapshot -o name vault/tank/homes/hub/claim-ada | tail -n 1").strip()
    for snapshot, files in ((oldest, {"thesis"}), (last, {"more"})):
        found = pair.second.console(
            f"zfs clone -o mountpoint=/mnt/look {snapshot} vault/look; ls /mnt/look;"
            " for i in $(seq 50); do zfs destroy vault/look 2>/dev/null && break; sleep 0.2; done"
        )
        assert set(found.split()) == files


def test_a_backups_snapshot_does_not_stay_on_the_copy(pair: Pair) -> None:
    pair.first.console("zfs snapshot -r tank@research-compute-backup-1")
    pair.snap()
    pair.fetch()
    pair.first.console("zfs destroy -r tank@research-compute-backup-1")
    assert not [name for name in names(pair.second, "vault") if "backup" in name]
    pair.first.console("zfs snapshot -r tank@research-compute-backup-2")
    pair.fetch()
    pair.first.console("zfs destroy -r tank@research-compute-backup-2")
    pair.snap()
    pair.fetch()


def test_the_last_common_snapshot_is_held(pair: Pair) -> None:
    before = pair.snap()
    pair.fetch()
    with pytest.raises(CommandFailedError, match="busy"):
        pair.first.console(f"zfs destroy tank/data@{before}")
    pair.snap()
    pair.fetch()
    pair.first.console(f"zfs destroy tank/data@{before}")
    pair.fetch()


def test_a_transfer_that_is_cut_off_is_made_good(pair: Pair) -> None:
    pair.first.console("head -c 24000000 /dev/urandom > /tank/data/big; sync")
    name = pair.snap()
    pair.second.console(
        "cp /etc/research-compute/replica/settings /root/settings;"
        "sed -i 's/^BANDWIDTH=.*/BANDWIDTH=2000000/' /etc/research-compute/replica/settings;"
        f"systemctl start --no-block {UNIT}.service"
    )
    receiving = "until pgrep -f '[z]fs receive.*vault/tank/data' >/dev/null; do sleep 0.1; done; sleep 1;"
    pair.second.console(f"timeout 300 sh -c \"{receiving}\"; pkill -KILL -f '[z]fs receive.*vault/tank/data'")
    assert settled(pair) == "failed"
    assert f"{UNIT}.service" in pair.second.console("systemctl list-units --failed --plain --no-legend")
    assert any("failed" in line for line in pair.check()["replica"])
    assert f"vault/tank/data@{name}" not in names(pair.second, "vault/tank/data")
    pair.second.console(f'systemctl start --no-block {UNIT}.service; timeout 300 sh -c "{receiving}"')
    pair.first.partition()
    time.sleep(4)
    pair.first.heal()
    assert settled(pair) == "inactive", pair.second.console(f"journalctl -u {UNIT} -n 40 --no-pager")
    pair.second.console("mv /root/settings /etc/research-compute/replica/settings")
    assert f"vault/tank/data@{name}" in names(pair.second, "vault/tank/data")
    assert pair.check() == {}


@pytest.mark.parametrize(
    "command",
    [
        "",
        "id",
        "sh -c id",
        "sudo -n id",
        "scp -t /tmp",
        "/usr/lib/openssh/sftp-server",
        "zfs destroy tank/data@NAME",
        "zfs rollback tank/data@NAME",
        "zfs set readonly=on tank/data",
        "zfs list -H tank/scratch",
        "zfs get -H creation tank",
        "zfs send tank@NAME",
        "zfs send 'tank/scratch'@'NAME'",
        "zfs list -H tank/data; id",
        "zfs list -H tank/data && id",
        "zfs list -H tank/data | id",
        "zfs list -H $(id)",
        "zfs list -H `id`",
        "zfs list -H tank/data > /tmp/x",
        "zfs send -i tank/scratch@NAME tank/data@NAME",
        "zpool destroy tank",
        "zpool get -o value -H feature@lz4_compress other",
    ],
)
def test_the_login_can_do_nothing_else(pair: Pair, command: str) -> None:
    pair.first.console("zfs snapshot tank/scratch@NAME; true", check=False)
    code, said = pair.ssh(command)
    assert code == 65, said
    assert "refused: " in said
    assert "uid=" not in said


def test_the_login_forwards_nothing_and_comes_from_one_place(pair: Pair) -> None:
    _, said = pair.ssh("", options=f"-W {pair.first.address}:22")
    assert "SSH-" not in said
    key = pair.second.console("cat /etc/research-compute/replica/key /etc/research-compute/replica/known_hosts")
    pair.first.run("umask 077; mkdir -p /tmp/r; cat > /tmp/r/all", sudo=True, text=key)
    pair.first.console(
        "cd /tmp/r; mkdir -p /etc/research-compute/replica; "
        "sed '/END OPENSSH/q' all > /etc/research-compute/replica/key; "
        "sed '1,/END OPENSSH/d' all > /etc/research-compute/replica/known_hosts; "
        "chmod 600 /etc/research-compute/replica/key"
    )
    code, said = pair.ssh("zfs list -H tank/data", host=pair.first)
    assert (code, "Permission denied" in said) == (255, True), said
    pair.first.console("rm -r /tmp/r /etc/research-compute/replica")
    assert pair.ssh("zfs list -H -o name tank/data") == (0, "tank/data\n")
    assert pair.first.console(f"getent shadow {LOGIN}").split(":")[1] == "*"


def test_whoever_has_the_first_host_cannot_destroy_the_copies(pair: Pair) -> None:
    before = names(pair.second, "vault/tank")
    pair.first.console(
        "zfs list -H -o name -t snapshot -r tank/homes/hub/claim-ben | while read s; do"
        " zfs release research-compute-replica $s 2>/dev/null; zfs destroy $s; done;"
        # zfs-fuse lets go of a file system a moment after it was last read.
        "for _ in $(seq 40); do zfs destroy tank/homes/hub/claim-ben && break; sleep 0.5; done;"
        "zfs create tank/homes/hub/claim-ben"
    )
    # One where an older snapshot is still common, and the newer ones are gone.
    ada = pair.first.console("zfs list -H -o name -t snapshot -r tank/homes/hub/claim-ada").split()
    for snapshot in ada[1:]:
        pair.first.console(f"zfs release research-compute-replica {snapshot} 2>/dev/null; zfs destroy {snapshot}")
    pair.snap()
    with pytest.raises(CommandFailedError):
        pair.fetch()
    assert names(pair.second, "vault/tank") >= before
    said = pair.second.console(f"journalctl -u {UNIT} -n 60 --no-pager -o cat")
    assert "claim-ben" in said
    assert any("failed" in line for line in pair.check()["replica"])
    # The way back of docs/storage.md: what no longer follows is set aside, and copied anew.
    pair.second.console(
        "cd /; for home in ada ben; do"
        " zfs rename vault/tank/homes/hub/claim-$home vault/tank/homes/hub/claim-$home.until-now; done"
    )
    pair.fetch()
    assert pair.check() == {}
    assert [name for name in names(pair.second, "vault/tank") if "claim-ada.until-now@" in name]


def test_the_copies_are_pruned_by_their_own_retention(pair: Pair) -> None:
    pair.keep["hourly"] = 37
    changed = pair.run("replica").changed
    assert changed == ("file /etc/sanoid/sanoid.conf",)
    assert settled(pair) == "inactive"
    before = names(pair.second, "vault/tank/data")
    last = pair.second.console("zfs list -H -o name -t snapshot -r vault/tank/data | tail -n 1").strip()
    prune = "sanoid --prune-snapshots --verbose --force-update"
    conf = pair.second.console("cat /etc/sanoid/sanoid.conf")
    pair.second.console("sed -i 's/^hourly = .*/hourly = 2/' /etc/sanoid/sanoid.conf")
    pair.second.console(f"{prune}; {later(86400)} {prune}")
    pair.second.run("cat > /etc/sanoid/sanoid.conf", sudo=True, text=conf)
    left = names(pair.second, "vault/tank/data")
    assert left < before
    assert last in left
    assert len([name for name in left if name.endswith("_hourly")]) == 2
    pair.second.console("systemctl start sanoid.service")
    assert names(pair.second, "vault/tank/data") == left


def test_it_goes_on_after_reboots(pair: Pair) -> None:
    pair.first.reboot()
    pair.second.reboot()
    assert pair.check() == {}
    name = pair.snap()
    pair.fetch()
    assert f"vault/tank/data@{name}" in names(pair.second, "vault/tank/data")


def test_undone_it_leaves_all_data(pair: Pair) -> None:
    def data(host: Host) -> set[str]:
        return set(host.console("zfs list -H -t filesystem,snapshot -o name").split())

    before = data(pair.first), data(pair.second)
    for name in reversed(NAMES):
        assert pair.run(name, "undo").code == 0
    assert (data(pair.first), data(pair.second)) == before
    gone = (
        f"ls /etc/sanoid/sanoid.conf /etc/systemd/system/{UNIT}.timer /etc/sudoers.d/{UNIT} {FETCH} 2>/dev/null; true"
    )
    assert pair.first.console(gone) == pair.second.console(gone) == ""
    assert pair.first.console(f"getent passwd {LOGIN}; true") == ""
    held = pair.first.console("zfs list -H -t snapshot -o userrefs").split()
    assert set(held) == {"0"}
    again = {name: pair.run(name, "undo").changed for name in reversed(NAMES)}
    assert again == dict.fromkeys(NAMES, ())


def test_the_second_host_takes_the_firsts_place(pair: Pair) -> None:
    """The commands of docs/storage.md, with the path that the pool's disk has here."""
    last = pair.first.console("zfs list -H -o name -t snapshot -r tank/data | tail -n 1").strip()
    pair.first.power_off()
    pair.second.console(
        "set -e; zpool export vault; zpool import -d /disks vault tank; zfs set mountpoint=none tank;"
        "zfs rename tank/tank/homes tank/homes; zfs rename tank/tank/data tank/data; zfs destroy tank/tank;"
        "zfs set mountpoint=/tank tank; zfs mount -a"
    )
    assert pair.second.console("cat /tank/data/set").strip() == "set"
    assert last in names(pair.second, "tank/data")
    pair.second.console("echo new > /tank/homes/hub/claim-ada/new; cat /tank/homes/hub/claim-ada/more")
    assert "new" in pair.second.console("ls /tank/homes/hub/claim-ada").split()
