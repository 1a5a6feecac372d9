"""``labctl restore`` from the command line, on a stack file whose storage host is made up."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from labctl.cli import run
from labctl.engine.providers.kubernetes.client import Client
from labctl.engine.providers.kubernetes.kubeconfig import Access
from labctl.engine.state import SecretsManager
from labctl.engine.state.passphrase import Passphrase
from labctl.exit_codes import ExitCode
from labctl.restore import usage
from labctl.restore.usage import users_of
from labctl.ssh import Ending, Finished, Stream, Target, UnreachableError
from labctl.verbs import restore as verb

CANARY = "canary-4711"
ADA = "tank/homes/hub-prod/claim-ada"
COPY = {"id": "aaaa1111bbbb", "time": "2026-11-20T02:30:00Z", "hostname": "store-1"}
THERE = (
    f"there\t{ADA}",
    f"local\t{ADA}@autosnap_9\tcreation\t1795269600",
    f"local\t{ADA}@autosnap_9\treferenced\t2048",
    "of\tstore-1",
    f"repository\t{json.dumps([COPY])}",
)
GONE = ("of\tstore-1", f"repository\t{json.dumps([COPY])}")


@dataclass
class Told:
    """What the storage host was told, and what it answers."""

    listed: tuple[str, ...] = THERE
    answer: tuple[str, ...] = ()
    status: int = 0
    said: tuple[str, ...] = ()
    unreachable: bool = False
    texts: list[str] = field(default_factory=list[str])
    commands: list[str] = field(default_factory=list[str])

    def values(self) -> Mapping[str, str]:
        """Return the values of the last order."""
        lines = [line for line in self.texts[-1].splitlines() if line.startswith("readonly ") and "=" in line]
        found = dict(line.removeprefix("readonly ").split("=", 1) for line in lines)
        return {name: value.strip("'") for name, value in found.items()}


def fake_connector(told: Told) -> Callable[[], object]:
    class Fake:
        def run(  # noqa: PLR0913 - as the real one
            self,
            target: Target,
            command: str,
            *,
            stdin: bytes,
            on_line: Callable[[Stream, str], None],
            cancelled: threading.Event | None,
            timeout_seconds: float | None,
        ) -> Finished:
            if told.unreachable:
                raise UnreachableError(target.label, 2, "no route to host")
            text = stdin.decode()
            told.texts.append(text)
            told.commands.append(command)
            listing = "readonly WHAT=list" in text
            for line in told.listed if listing else told.answer:
                on_line(Stream.STDOUT, line)
            status = 0 if listing and told.answer else told.status
            for line in told.said if status else ():
                on_line(Stream.STDERR, line)
            return Finished(status, Ending.ITSELF, b"", b"", b"")

        def close(self) -> None: ...

    return Fake


@dataclass
class Project:
    """A project's folder with one stack, and its storage host."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    told: Told

    def write(self, *, hub: bool = True, **changes: object) -> None:
        """Write the stack file, its secrets sealed; None takes a part of the section away."""
        manager = SecretsManager(None, (Passphrase("test", "open"),))
        config: dict[str, object] = {
            f"research-compute:{name}": {"secure": manager.encrypt(CANARY)}
            for name in ("sshKey", "sudoPassword", "backupPassword", "githubSecret")
        }
        storage: dict[str, object] = {
            "zfs": {
                "pools": {
                    "tank": {
                        "host": "store-1",
                        "data": [{"kind": "mirror", "disks": ["/dev/disk/by-id/a", "/dev/disk/by-id/b"]}],
                    }
                }
            },
            "nfs": {
                "host": "store-1",
                "homes": {"path": "/tank/homes"},
                "shared": [{"name": "datasets", "path": "/tank/datasets", "mountPath": "/srv/datasets", "size": "1Ti"}],
                "groups": {"vision": {"gid": 5001}},
                "groupFolders": {"path": "/tank/groups", "mountPath": "/srv/groups"},
                "backup": {"repository": "/srv/backup", "password": {"secret": "backupPassword"}},
            },
        }
        cluster: dict[str, object] = {
            "name": "lab",
            "domain": "lab.example.org",
            "contact": "cluster@lab.example.org",
            "nodes": {
                "ssh": {
                    "user": "ubuntu",
                    "privateKey": {"secret": "sshKey"},
                    "sudoPassword": {"secret": "sudoPassword"},
                },
                "hosts": {name: machine(number, *roles) for number, (name, roles) in enumerate(HOSTS.items(), start=1)},
            },
            "network": {
                "hosts": "192.0.2.0/24",
                "pods": "10.244.0.0/16",
                "services": "10.96.0.0/16",
                "cni": {"kind": "calico"},
                "gateway": {"kind": "envoy"},
                "certificates": {"kind": "self-signed"},
                "hostnames": {"hub": "hub.lab.example.org"},
            },
            "storage": storage,
            **({"hub": HUB} if hub else {}),
            **changes,
        }
        config["research-compute:cluster"] = cluster
        content = yaml.safe_dump({"encryptionsalt": manager.salt, "config": config})
        (self.folder / "Pulumi.prod.yaml").write_text(content, encoding="utf-8")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``labctl restore``: its exit code, what it printed, and what it said beside."""
        self.capsys.readouterr()
        code = run(["restore", *arguments, "--stack", "prod"])
        said = self.capsys.readouterr()
        assert CANARY not in said.out + said.err
        return code, said.out, said.err


HOSTS = {"cp-1": ("control-plane",), "store-1": ("storage",)}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5"
HUB = {
    "authentication": {
        "kind": "github",
        "clientId": "Ov23li",
        "clientSecret": {"secret": "githubSecret"},
        "organizations": ["lab"],
    },
    "homes": {"key": "username", "capacity": "1Gi"},
    "profiles": [
        {
            "slug": "minimal",
            "name": "Minimal",
            "image": "minimal-notebook",
            "default": True,
            "resources": {"guarantee": {"cpu": "1", "memory": "1Gi"}},
        }
    ],
}


def machine(number: int, *roles: str) -> dict[str, object]:
    return {
        "address": f"192.0.2.{number}",
        "roles": list(roles),
        "hostKey": f"{KEY}{number}",
        "hardware": {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "100G"},
    }


@pytest.fixture
def project(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text((root / "Pulumi.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "open")
    monkeypatch.setenv("COLUMNS", "200")
    told = Told()
    monkeypatch.setattr(verb, "Connector", fake_connector(told))
    made = Project(folder, capsys, told)
    made.write()
    return made


class TestList:
    def test_of_a_home(self, project: Project) -> None:
        code, out, _ = project.run("list", "home/hub-prod/claim-ada")
        assert code == ExitCode.OK
        assert project.told.values()["DATASET"] == ADA
        lines = out.splitlines()
        assert lines[0] == f"Copies of {ADA}"
        assert [line.split()[:3] for line in lines[2:]] == [
            ["2026-11-20", "02:30:00", "repository"],
            ["2026-11-21", "14:00:00", "snapshot"],
        ]
        assert "aaaa1111" in lines[2]
        assert "autosnap_9  2.0 KiB" in lines[3]

    def test_of_all_homes_as_json(self, project: Project) -> None:
        code, out, _ = project.run("list", "--json")
        assert (code, project.told.values()["DATASET"]) == (ExitCode.OK, "tank/homes")
        assert json.loads(out)["copies"][0] == {
            "time": "2026-11-20T02:30:00+00:00",
            "source": "repository",
            "snapshot": "aaaa1111bbbb",
            "host": "store-1",
            "bytes": None,
        }

    def test_none(self, project: Project) -> None:
        project.told.listed = ("no-repository\tbackups are not set up on this host",)
        code, out, _ = project.run("list")
        assert code == ExitCode.OK
        assert "no repository: backups are not set up on this host\nthere is no copy\n" in out

    @pytest.mark.parametrize(
        ("what", "dataset"),
        [
            ("shared/datasets", "tank/datasets"),
            ("group/vision", "tank/groups/vision"),
            ("hub-database", "tank/homes/hub-prod/hub-db-dir"),
        ],
    )
    def test_of_what_there_is(self, project: Project, what: str, dataset: str) -> None:
        assert project.run("list", what)[0] == ExitCode.OK
        assert project.told.values()["DATASET"] == dataset

    @pytest.mark.parametrize(
        ("what", "words"),
        [
            ("home/claim-ada", "there is no home claim-ada"),
            ("home/hub-prod/../etc", "there is no home"),
            ("shared/theirs", "there is no shared folder theirs in the stack file; there are: datasets"),
            ("group/guests", "there is no group with a folder guests in the stack file; there are: vision"),
            ("tank/homes", "is nothing that can be restored: write home/NAMESPACE/CLAIM"),
            ("hub-database/x", "is nothing that can be restored"),
        ],
    )
    def test_of_what_there_is_not(self, project: Project, what: str, words: str) -> None:
        code, _, err = project.run("list", what)
        assert (code, project.told.texts) == (ExitCode.USAGE, [])
        assert words in err


class TestFolder:
    HOME = ("folder", "home/hub-prod/claim-ada")

    def test_into_a_new_folder_from_what_is_nearest(self, project: Project) -> None:
        folder = f"/{ADA}/restored-20261121T140000Z"
        project.told.answer = ("counted\t3\t2048", "progress\t1024", f"restored\t{ADA}\t{folder}")
        code, out, _ = project.run(*self.HOME)
        assert code == ExitCode.OK
        assert out.splitlines() == [
            "home hub-prod/claim-ada as of 2026-11-21 14:00:00 UTC, from the snapshot on the storage host autosnap_9",
            "to come: 3 files, 2.0 KiB",
            f"restored {ADA} to {folder}",
        ]
        values = project.told.values()
        assert values["COPY"] == f"{ADA}@autosnap_9"
        assert (values["SOURCE"], values["LABEL"], values["IN_PLACE"], values["DRY_RUN"]) == (
            "local",
            "restored-20261121T140000Z",
            "false",
            "false",
        )
        assert "sudo -S" in project.told.commands[-1]
        assert project.told.texts[-1].startswith(f"{CANARY}\n# research-compute\nmain() {{\n")

    def test_one_path_as_it_was(self, project: Project) -> None:
        project.told.answer = ("would\t/x",)
        code, out, _ = project.run(*self.HOME, "--at", "2026-11-21T00:00Z", "--path", "notes/it's/", "--dry-run")
        assert code == ExitCode.OK
        assert "would be restored to /x" in out
        values = project.told.values()
        assert (values["SOURCE"], values["COPY"], values["DRY_RUN"]) == ("repository", "aaaa1111bbbb", "true")
        assert "readonly SUB_PATH='notes/it'\"'\"'s'\n" in project.told.texts[-1]

    @pytest.mark.parametrize("path", ["/etc", "a/../b", "", "a//b", "./a", "a\nb"])
    def test_a_path_stays_inside(self, project: Project, path: str) -> None:
        code, _, err = project.run(*self.HOME, "--path", path)
        assert (code, project.told.texts) == (ExitCode.USAGE, [])
        assert "is no path in the folder" in err

    def test_what_is_gone_comes_from_the_repository(self, project: Project) -> None:
        project.told.listed = GONE
        project.told.answer = (f"made\t{ADA}", "note\tleft out compression=lz4", f"restored\t{ADA}\t/{ADA}")
        code, out, _ = project.run(*self.HOME, "--in-place", "--allow-destroy", ADA, "--cluster-is-down")
        assert code == ExitCode.OK
        assert f"made {ADA}\nleft out compression=lz4\nrestored {ADA} to /{ADA}\n" in out
        assert project.told.values()["IN_PLACE"] == "false", "there is nothing whose place it could take"

    def test_no_copy(self, project: Project) -> None:
        code, _, err = project.run(*self.HOME, "--at", "2020-01-01")
        assert code == ExitCode.ABSENT
        assert "there are 2, from 2026-11-20T02:30:00Z to 2026-11-21T14:00:00Z" in err
        assert len(project.told.texts) == 1
        assert project.run(*self.HOME, "--at", "noon")[0] == ExitCode.USAGE

    @pytest.mark.parametrize(
        ("status", "said", "code", "words"),
        [
            (65, "refused: /x is there already", ExitCode.REFUSED, "store-1 refuses: /x is there already"),
            (77, "refused: sudo does not accept", ExitCode.REFUSED, "sudo does not accept"),
            (75, "failed: another backup", ExitCode.LOCKED, "another backup or restore is under way on store-1"),
            (70, f"failed: disk full {CANARY}", ExitCode.FAILED, "the same command goes on from there"),
            (1, "", ExitCode.FAILED, "it ended with status 1 and without a word"),
        ],
    )
    def test_failures(self, project: Project, status: int, said: str, code: ExitCode, words: str) -> None:
        project.told.answer, project.told.status, project.told.said = ("counted\t1\t1",), status, (said,)
        found, _, err = project.run(*self.HOME)
        assert found == code
        assert words in err

    def test_a_host_that_is_off(self, project: Project) -> None:
        project.told.unreachable = True
        code, _, err = project.run(*self.HOME)
        assert code == ExitCode.UNANSWERED
        assert "no answer from the storage host store-1" in err

    def test_what_a_host_says_moves_no_cursor(self, project: Project) -> None:
        project.told.answer = ("note\t\x1b[2Jgone",)
        _, out, _ = project.run(*self.HOME)
        assert "\x1b" not in out


class TestInPlace:
    ARGUMENTS = ("folder", "home/hub-prod/claim-ada", "--in-place")

    def test_it_has_to_be_named(self, project: Project) -> None:
        for named in ((), ("--allow-destroy", "tank/homes/hub-prod/claim-bob")):
            code, _, err = project.run(*self.ARGUMENTS, *named)
            assert code == ExitCode.REFUSED
            assert f"--in-place --allow-destroy {ADA}" in err
        assert project.told.texts == []

    def test_nobody_may_use_it(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        project.told.answer = (f"kept\t{ADA}@before", f"restored\t{ADA}\t/{ADA}")
        named = (*self.ARGUMENTS, "--allow-destroy", ADA)
        code, _, err = project.run(*named)
        assert code == ExitCode.REFUSED
        assert "the state has no cluster to ask who uses it" in err

        def kubeconfig_of(_: object) -> str:
            return "{clusters: [], contexts: []}\n"

        monkeypatch.setattr(usage, "kubeconfig_of", kubeconfig_of)
        code, _, err = project.run(*named)
        assert code == ExitCode.REFUSED
        assert "could not be asked who uses it" in err
        assert "add --cluster-is-down" in err
        assert project.told.texts == []
        code, out, _ = project.run(*named, "--cluster-is-down")
        assert code == ExitCode.OK
        assert f"what is there now stays in the snapshot {ADA}@before" in out
        assert project.told.values()["IN_PLACE"] == "true"

    def test_a_preview_needs_no_permission(self, project: Project) -> None:
        project.told.answer = (f"would\t/{ADA}",)
        assert project.run(*self.ARGUMENTS, "--dry-run")[0] == ExitCode.OK


class TestEverything:
    def test_shown_first_then_done(self, project: Project) -> None:
        project.told.answer = (
            "counted\ttank\t1073741824",
            "skipped\ttank/datasets\tit has files",
            f"would-make\t{ADA}\t1024",
            f"restored\t{ADA}\t/{ADA}",
        )
        code, out, _ = project.run("everything", "--yes")
        assert code == ExitCode.OK
        assert "left alone: tank/datasets: it has files\n" in out
        assert "would be made and restored: tank/homes/hub-prod/claim-ada, 1.0 KiB\n" in out
        previews = ["readonly DRY_RUN=true\n" in text for text in project.told.texts]
        assert previews == [False, True, False]
        assert project.told.values()["SOURCE"] == "repository"

    def test_nobody_agrees(self, project: Project) -> None:
        project.told.answer = (f"would-make\t{ADA}\t1024",)
        code, _, err = project.run("everything")
        assert code == ExitCode.FAILED
        assert "nobody to ask: say --yes" in err
        assert len(project.told.texts) == 2

    def test_backups_wait_where_something_was_left_alone(self, project: Project) -> None:
        project.told.answer = ("skipped\ttank/datasets\tit has files", "pools-not-accepted")
        code, out, _ = project.run("everything", "--yes")
        assert code == ExitCode.FAILED
        assert "research-compute-data-backup --accept-pools" in out


NFS = {"host": "store-1", "homes": {"path": "/tank/homes"}}
POOLS = {"tank": {"host": "store-1", "data": [{"kind": "mirror", "disks": ["/dev/disk/by-id/a", "/dev/disk/by-id/b"]}]}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"storage": {"use": {"homeClass": "homes"}}}, "it builds no storage (storage.nfs)"),
        ({"storage": {"nfs": NFS}}, "its folders lie in no pool (storage.zfs)"),
        ({"storage": {"zfs": {"pools": POOLS}, "nfs": NFS}}, "it keeps neither snapshots"),
        (
            {"nodes": None},
            "it adopts a cluster (nodes.adopt), whose hosts are somebody else's",
        ),
        ({}, "has no hub, and so no hub's database"),
    ],
)
def test_stacks_with_nothing_to_restore(project: Project, changes: dict[str, object], words: str) -> None:
    if "nodes" in changes:
        adopt = {"kubeconfig": "k", "simulated": True}
        changes = {"nodes": {"adopt": adopt, "hosts": {"store-1": machine(1, "storage"), "w-1": machine(2, "worker")}}}
    project.write(hub=False, **changes)
    code, _, err = project.run("folder", "hub-database")
    assert code == ExitCode.USAGE, err
    assert words in err
    assert project.told.texts == []


PODS = {
    "items": [
        {
            "metadata": {"name": name},
            "status": {"phase": phase},
            "spec": {"volumes": [{"name": "token"}, {"persistentVolumeClaim": {"claimName": claim}}]},
        }
        for name, phase, claim in (
            ("jupyter-ada", "Running", "claim-ada"),
            ("jupyter-ada-old", "Succeeded", "claim-ada"),
            ("jupyter-bob", "Running", "claim-bob"),
            ("waiting", "Pending", "claim-ada"),
        )
    ]
}


@pytest.fixture
def api() -> Generator[str]:
    """A server with a few pods, and nothing else of an API server's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(PODS if self.path == "/api/v1/namespaces/hub-prod/pods" else {"items": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_who_uses_a_claim(api: str) -> None:
    client = Client(Access(server=api))
    assert users_of(client, "hub-prod", "claim-ada") == ("jupyter-ada", "waiting")
    assert users_of(client, "hub-prod", "claim-eve") == ()
    assert users_of(client, "hub-test", "claim-ada") == ()
    client.close()
