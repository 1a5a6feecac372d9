"""Homes made at run time on a real host with a real ZFS: through the path unit, for whom it may be, once."""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bed import Bed, Host
from storage_hosts import StorageHosts, lay_disks, pool, prepare_storage

from components.hub.files.lab_hub import home_requests
from components.hub.files.lab_hub.home_requests import HomeRequest, Status, obtain
from components.storage.config import StorageConfig
from components.storage.homes_plan import REQUESTER_UID

STEPS = ("zfs", "pool", "datasets", "homes")
EACH = 16 * 2**20
"""Quota of a home, in bytes."""
SECONDS = 45.0
"""For an answer, on a busy machine; the look for what was not noticed comes only after a minute."""
REQUESTS = "/tank/home-requests/requests"
ANSWERS = "/tank/home-requests/answers"
MAKER = "/usr/local/lib/research-compute/make-homes"
PATH_UNIT = "research-compute-homes.path"
LOOK_UNIT = "research-compute-homes-look.service"
JOURNAL = "journalctl -u 'research-compute-homes*' --no-pager | tail -n 20"
AS_REQUESTER = f"setpriv --reuid {REQUESTER_UID} --regid {REQUESTER_UID} --clear-groups"
"""What the export makes of everybody (all_squash)."""


@pytest.fixture(scope="module")
def made(make_bed: Callable[[int], Bed], tmp_path_factory: pytest.TempPathFactory) -> Generator[StorageHosts]:
    """One storage host with a pool, its datasets, and what makes homes."""
    with prepare_storage(make_bed(1), tmp_path_factory.mktemp("packages")) as hosts:
        lay_disks(hosts.host(), "a", "b", size=512 * 2**20)
        hosts.up(section(hosts), STEPS)
        yield hosts


@pytest.fixture
def host(made: StorageHosts) -> Host:
    return made.host()


def section(hosts: StorageHosts, **homes: object) -> StorageConfig:
    """Return a lab whose homes hold `EACH`, with these keys of ``nfs.homes`` replaced."""
    given = {"path": "/tank/homes", "each": str(EACH), "userIds": {"first": 1000, "last": 59_999}, **homes}
    return hosts.storage({"tank": pool("mirror", ["/disks/a", "/disks/b"])}, homes=given)


def text(claim: str, uid: int, gid: int = 100, namespace: str = "hub-prod") -> str:
    return HomeRequest(namespace, claim, uid, gid).text()


def put(host: Host, name: str, content: str) -> None:
    """Write a request as the hub does, with the rights the export leaves it."""
    host.run(
        f"{AS_REQUESTER} sh -c 'cat >{REQUESTS}/.{name} && mv -T {REQUESTS}/.{name} {REQUESTS}/{name}'",
        sudo=True,
        text=content,
    )


def answer(host: Host, name: str) -> dict[str, str]:
    """Wait for an answer and return its lines."""
    deadline = time.monotonic() + SECONDS
    while not (said := host.console(f"cat {ANSWERS}/{name} 2>/dev/null || true")):
        assert time.monotonic() < deadline, host.console(JOURNAL)
        time.sleep(0.1)
    return dict(line.split(" ", 1) for line in said.splitlines())


def ask(host: Host, claim: str, uid: int) -> dict[str, str]:
    name = f"hub-prod.{claim}.{secrets.token_hex(8)}"
    put(host, name, text(claim, uid))
    return answer(host, name)


def value(host: Host, claim: str, name: str) -> str:
    return host.console(f"zfs get -H -p -o value {name} tank/homes/hub-prod/{claim}").strip()


def state(host: Host, claim: str) -> str:
    """Return whose a home's folder is, and its mode."""
    return host.console(f"stat -c '%u:%g %a' /tank/homes/hub-prod/{claim}").strip()


def as_user(uid: int, command: str) -> str:
    """Return a command as somebody's server runs it."""
    return f"setpriv --reuid {uid} --regid 100 --clear-groups {command}"


def homes(host: Host) -> list[str]:
    return host.console("zfs list -H -o name -r tank/homes").split()


def test_all_is_as_planned(made: StorageHosts) -> None:
    assert made.check(section(made), STEPS) == {}
    assert made.up(section(made), ["homes"]) == {f"{made.host().name}-homes": ()}


def test_a_home_is_there_within_seconds_and_only_its_owners(host: Host) -> None:
    started = time.monotonic()
    assert ask(host, "home-ada", 1001) == {
        "version": "1",
        "status": "made",
        "path": "/tank/homes/hub-prod/home-ada",
        "reason": "",
    }
    assert time.monotonic() - started < SECONDS
    assert state(host, "home-ada") == "1001:100 700"
    assert value(host, "home-ada", "refquota") == str(EACH)
    assert value(host, "home-ada", "mounted") == "yes"
    assert value(host, "home-ada", "refreservation") in {"0", "none"}
    assert f"made tank/homes/hub-prod/home-ada for 1001:100, quota {EACH}" in host.console(
        "journalctl -u research-compute-homes --no-pager"
    )


def test_asked_again_it_is_there_and_untouched(host: Host) -> None:
    ask(host, "home-again", 1001)
    host.console("echo mine >/tank/homes/hub-prod/home-again/file; chmod 750 /tank/homes/hub-prod/home-again")
    assert ask(host, "home-again", 1001)["status"] == "exists"
    assert state(host, "home-again") == "1001:100 750"
    assert host.console("cat /tank/homes/hub-prod/home-again/file") == "mine\n"


def test_nobody_gets_somebody_elses(host: Host) -> None:
    ask(host, "home-grace", 1002)
    refused = ask(host, "home-grace", 1003)
    assert (refused["status"], refused["reason"]) == ("refused", "the home is user id 1002's")
    # Nor one whose folder somebody took over by hand, or whose owner nobody noted.
    host.console("chown 1004 /tank/homes/hub-prod/home-grace")
    assert ask(host, "home-grace", 1002)["reason"] == "the home's folder belongs to user id 1004"
    host.console("zfs inherit research-compute:home tank/homes/hub-prod/home-grace")
    assert ask(host, "home-grace", 1002)["reason"] == "the home's folder belongs to user id 1004"
    assert ask(host, "home-grace", 1004)["status"] == "exists"
    assert value(host, "home-grace", "research-compute:home") == "1004:100"


def test_what_a_hostile_hub_writes_does_nothing(host: Host) -> None:
    before = homes(host)
    host.console("printf 'version 1\\n' >/root/secret; echo kept >/tank/outside")
    name = "hub-prod.home-{}.n1".format
    files = {
        name("root"): text("home-root", 0),
        name("service"): text("home-service", 33),
        name("beyond"): text("home-beyond", 60_000),
        name("requester"): text("home-requester", REQUESTER_UID),
        name("group"): text("home-group", 1001, gid=0),
        name("big"): text("home-big", 1001) + "#" * 100_000,
        name("other"): text("home-another", 1001),
        "..home-up.n1": text("home-up", 1001, namespace=".."),
        "hub-prod.home..up.n1": text("home..up", 1001),
        "UPPER.home.n1": text("home", 1001, namespace="UPPER"),
        name("path"): text("../../outside", 1001),
        name("shell"): text("home-shell", 1001).replace("1001", "a[$(touch${IFS}/tank/owned)]"),
    }
    host.console(f"systemctl stop {PATH_UNIT}")
    for request, content in files.items():
        put(host, request, content)
    links = " && ".join(
        f"ln -s {target} {REQUESTS}/{name(claim)}"
        for claim, target in {"secret": "/root/secret", "shadow": "/etc/shadow", "tree": "/tank/homes"}.items()
    )
    host.console(
        f"{AS_REQUESTER} sh -c '{links} && mkdir -p {REQUESTS}/{name('folder')}/a/b && mkfifo {REQUESTS}/x.y.z'"
    )
    # Even root's own hand in the folder is no request.
    host.console(f"cp /root/secret {REQUESTS}/{name('roots')}")
    host.console(f"systemctl start {PATH_UNIT}")
    refused = [*(request for request in files if request.islower() and not request.startswith(".")), name("secret")]
    for request in [*refused, name("shadow"), name("tree"), name("folder"), name("roots"), "x.y.z"]:
        assert answer(host, request)["status"] == "refused", request
    assert homes(host) == before
    assert host.console("cat /root/secret /tank/outside") == "version 1\nkept\n"
    assert host.console("ls -A /tank/owned 2>&1 || true").endswith("No such file or directory\n")
    # What begins with a dot was never seen.
    assert host.console(f"ls -A {REQUESTS}") == "..home-up.n1\n"
    assert host.console(f"systemctl is-active {PATH_UNIT}").strip() == "active"


def test_fifty_at_once(host: Host) -> None:
    claims = {f"home-student-{index}": 2000 + index for index in range(50)}
    host.run("cat >/tmp/many; chmod 644 /tmp/many", sudo=True, text="".join(f"{c} {u}\n" for c, u in claims.items()))
    script = (
        "while read -r claim uid; do ( "
        'printf "version 1\\nnamespace hub-prod\\nclaim %s\\nuid %s\\ngid 100\\n" "$claim" "$uid" '
        f">{REQUESTS}/.$claim; mv -T {REQUESTS}/.$claim {REQUESTS}/hub-prod.$claim.n1 ) & done </tmp/many; wait"
    )
    host.console(f"{AS_REQUESTER} bash -c '{script}'")
    for claim in claims:
        assert answer(host, f"hub-prod.{claim}.n1")["status"] == "made"
    found = host.console("stat -c '%n %u:%g %a' /tank/homes/hub-prod/home-student-*").splitlines()
    assert set(found) == {f"/tank/homes/hub-prod/{claim} {uid}:100 700" for claim, uid in claims.items()}
    assert host.console(f"ls {REQUESTS}") == ""
    assert host.console("systemctl is-failed 'research-compute-homes*' || true").count("failed") == 0


KILLED_AT_EACH_COMMAND = f"""
set -u
# Sourced by the program before its first line: it kills itself before its command number AT.
cat >/tmp/killer <<'END'
set -T
trap '((++COMMANDS == AT)) && kill -9 $$' DEBUG
END
wrong=0 at=1
while true; do
    claim=home-killed-$at name=hub-prod.home-killed-$at.n1
    printf 'version 1\\nnamespace hub-prod\\nclaim %s\\nuid 3001\\ngid 100\\n' "$claim" >/tmp/request
    install -o {REQUESTER_UID} -g {REQUESTER_UID} -m 600 /tmp/request {REQUESTS}/$name
    # What was made in this hour is read line by line: a longer list would be further commands.
    rm -f /var/lib/research-compute/homes/made
    BASH_ENV=/tmp/killer COMMANDS=0 AT=$at {MAKER} >/dev/null 2>&1
    status=$?
    if ((at % 4 == 0)); then
        # Somebody else comes between.
        printf 'version 1\\nnamespace hub-prod\\nclaim %s\\nuid 3002\\ngid 100\\n' "$claim" >/tmp/request
        install -o {REQUESTER_UID} -g {REQUESTER_UID} -m 600 /tmp/request {REQUESTS}/hub-prod.$claim.other
        mv {REQUESTS}/$name /tmp/held 2>/dev/null
        {MAKER} >/dev/null 2>&1
        other=$(sed -n 's/^status //p' {ANSWERS}/hub-prod.$claim.other)
        made_for=$(zfs get -H -o value research-compute:home tank/homes/hub-prod/$claim)
        if [[ $made_for == 3001:* && $other != refused ]]; then
            echo "killed at $at: another was answered $other"
        fi
        if [[ $other == made ]]; then at=$((at + STEP)); rm -f /tmp/held; continue; fi
        mv /tmp/held {REQUESTS}/$name 2>/dev/null
    fi
    {MAKER} >/dev/null 2>&1 || echo "killed at $at: the next run ends with $?"
    said=$(sed -n 's/^status //p' {ANSWERS}/$name 2>/dev/null)
    owner=$(stat -c '%u:%g %a' /tank/homes/hub-prod/$claim)
    if [[ $said != made && $said != exists || $owner != '3001:100 700' || -n $(ls {REQUESTS}) ]]; then
        echo "killed at $at: answered '$said', home is $owner, left are $(ls {REQUESTS})"
    fi
    if ((status != 137)); then break; fi
    at=$((at + STEP))
done
echo "killed $((at / STEP)) times, last at command $at"
"""


def test_killed_anywhere_and_run_again(host: Host) -> None:
    host.console(f"systemctl stop {PATH_UNIT}")
    script = f"STEP=4\n{KILLED_AT_EACH_COMMAND}"
    try:
        said = host.run("cat >/tmp/loop; bash /tmp/loop 2>/dev/null", sudo=True, text=script, seconds=900)
    finally:
        host.console(f"systemctl start {PATH_UNIT}")
    *wrong, count = said.splitlines()
    assert wrong == []
    assert int(count.split()[1]) > 20, "the program was hardly ever killed"


def test_a_quota_holds(host: Host) -> None:
    ask(host, "home-full", 1005)
    write = "dd if=/dev/urandom of=/tank/homes/hub-prod/home-full/big bs=1M count=40 conv=fsync 2>&1; sync; "
    said = host.console(as_user(1005, f"sh -c '{write}' || true"))
    assert "quota exceeded" in said.lower() or "no space left" in said.lower(), said
    assert int(value(host, "home-full", "referenced")) <= EACH * 1.5
    # Another home does not notice.
    ask(host, "home-empty", 1006)
    host.console(as_user(1006, "dd if=/dev/zero of=/tank/homes/hub-prod/home-empty/x count=9"))


def test_two_users_cannot_look_into_each_others(host: Host) -> None:
    ask(host, "home-mine", 1007)
    ask(host, "home-yours", 1008)
    host.console(as_user(1007, "sh -c 'echo secret >/tank/homes/hub-prod/home-mine/file'"))
    for command in ("ls /tank/homes/hub-prod/home-mine", "cat /tank/homes/hub-prod/home-mine/file"):
        said = host.console(as_user(1008, f"{command} 2>&1 || true"))
        assert "Permission denied" in said
    assert "Permission denied" in host.console(as_user(1008, "touch /tank/homes/hub-prod/x 2>&1 || true"))


def test_quotas_follow_the_stack_file(made: StorageHosts, host: Host) -> None:
    ask(host, "home-more", 1009)
    ask(host, "home-same", 1010)
    more = section(made, exceptions={"hub-prod/home-more": "48Mi"})
    wanted = f"quota of tank/homes/hub-prod/home-more: {EACH} to {48 * 2**20} bytes (0 is none)"
    foreseen = made.check(more, ["homes"])[f"{host.name}-homes"]
    assert wanted in foreseen
    assert value(host, "home-more", "refquota") == str(EACH)
    changed = made.up(more, ["homes"])[f"{host.name}-homes"]
    assert set(changed) == {wanted, "file /etc/research-compute/homes/settings"}
    assert value(host, "home-more", "refquota") == str(48 * 2**20)
    assert value(host, "home-same", "refquota") == str(EACH)
    assert made.check(more, ["homes"]) == {}
    made.up(section(made), ["homes"])
    assert value(host, "home-more", "refquota") == str(EACH)


def test_a_quota_below_what_is_there_is_refused_before_anything_is_changed(made: StorageHosts, host: Host) -> None:
    ask(host, "home-big", 1011)
    host.console("dd if=/dev/urandom of=/tank/homes/hub-prod/home-big/x bs=1M count=6 conv=fsync status=none; sync")
    deadline = time.monotonic() + SECONDS
    while int(value(host, "home-big", "referenced")) < 5 * 2**20:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    (step,) = made.steps(section(made, each="2Mi"), names=["homes"])
    report = made.run(step)
    assert report.code == 65
    assert "hub-prod/home-big (" in report.err
    assert "give them an exception" in report.err
    assert value(host, "home-big", "refquota") == str(EACH)
    made.up(section(made), ["homes"])


def test_a_home_that_is_known_beforehand_is_made_by_the_step(made: StorageHosts, host: Host) -> None:
    (step,) = made.steps(section(made), names=["homes"])
    known = ("hub-next/hub-db-dir:500:500",)
    assert "home hub-next/hub-db-dir" in made.run(step, "check", KNOWN_HOMES=known).changed
    assert "home hub-next/hub-db-dir" in made.run(step, KNOWN_HOMES=known).changed
    assert host.console("stat -c '%u:%g %a' /tank/homes/hub-next/hub-db-dir").strip() == "500:500 700"
    assert made.run(step, KNOWN_HOMES=known).changed == ()


def test_what_the_unit_mounts_the_host_sees(host: Host) -> None:
    # zfs-fuse mounts by itself; the kernel's ZFS is mounted by whoever calls zfs, in the unit's own namespace.
    folder = "/run/systemd/system/research-compute-homes.service.d"
    note = '[Service]\\nExecStartPost=/bin/sh -c "readlink /proc/self/ns/mnt >/run/seen-by-homes"\\n'
    host.console(f"mkdir -p {folder}; printf '{note}' >{folder}/note.conf; systemctl daemon-reload")
    ask(host, "home-seen-by-all", 1017)
    host.console(f"systemctl start research-compute-homes.service; rm -r {folder}; systemctl daemon-reload")
    assert host.console("cat /run/seen-by-homes") == host.console("readlink /proc/1/ns/mnt")


def test_what_the_path_unit_cannot_see_is_found(host: Host) -> None:
    host.console("zfs umount tank/home-requests && zfs mount tank/home-requests")
    put(host, "hub-prod.home-unseen.n1", text("home-unseen", 1012))
    time.sleep(4)
    host.console(f"systemctl start {LOOK_UNIT}")
    assert answer(host, "hub-prod.home-unseen.n1")["status"] == "made"
    # And the path unit sees again.
    assert ask(host, "home-seen", 1013)["status"] == "made"


@pytest.fixture
def squashed(host: Host, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Return the requests' folder of the host as the hub has it: all its module does there is the requester's."""

    def as_requester() -> None:
        ctypes.CDLL(None).setfsgid(REQUESTER_UID)
        ctypes.CDLL(None).setfsuid(REQUESTER_UID)

    # Opened as root: the way there leads through another process' file systems, which only root may look into.
    folder = os.open(f"/proc/{host.init}/root/tank/home-requests", os.O_RDONLY | os.O_DIRECTORY)
    with ThreadPoolExecutor(8, initializer=as_requester) as threads:
        monkeypatch.setattr(home_requests, "_THREADS", threads)
        yield Path(f"/proc/self/fd/{folder}")
    os.close(folder)


def test_the_hubs_own_module_gets_homes(host: Host, squashed: Path) -> None:
    async def five() -> list[Status]:
        requests = [HomeRequest("hub-prod", f"home-hub-{index}", 4000 + index, 100) for index in range(5)]
        return [found.status for found in await asyncio.gather(*(obtain(each, squashed, SECONDS) for each in requests))]

    assert asyncio.run(five()) == [Status.MADE] * 5
    assert asyncio.run(five()) == [Status.EXISTS] * 5
    assert state(host, "home-hub-3") == "4003:100 700"
    refused = asyncio.run(obtain(HomeRequest("hub-prod", "home-hub-3", 4004, 100), squashed, SECONDS))
    assert (refused.status, refused.reason) == (Status.REFUSED, "the home is user id 4003's")


def test_after_a_reboot_homes_are_there_and_are_made(host: Host) -> None:
    ask(host, "home-before", 1014)
    host.reboot()
    assert ask(host, "home-before", 1014)["status"] == "exists"
    assert ask(host, "home-after", 1015)["status"] == "made"


def test_undone_nothing_listens_and_every_home_stays(made: StorageHosts, host: Host) -> None:
    ask(host, "home-stays", 1016)
    before = homes(host)
    made.undo(section(made), ["homes"])
    assert homes(host) == before
    assert state(host, "home-stays") == "1016:100 700"
    assert host.console("systemctl list-unit-files 'research-compute-homes*' --no-legend || true") == ""
    assert host.console(f"test -e {MAKER} && echo there || echo gone") == "gone\n"
    made.up(section(made), ["homes"])
    assert ask(host, "home-stays", 1016)["status"] == "exists"
