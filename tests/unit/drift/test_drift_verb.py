"""``labctl drift`` and ``labctl hosts keys`` from the command line, on a stack file whose hosts are in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from drift_hosts import USER_KEY, USER_PUBLIC
from ssh_server import SshHost, key_pair, serving

from components.nodes.steps import Step
from labctl.cli import run
from labctl.drift import asked
from labctl.engine.state import SecretsManager
from labctl.engine.state.passphrase import Passphrase
from labctl.exit_codes import ExitCode
from labctl.ssh import Connector

CANARY = "canary-4711"
Hosts = dict[str, dict[str, object]]


@dataclass
class Project:
    """A project's folder with one stack."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def file(self) -> Path:
        return self.folder / "Pulumi.prod.yaml"

    def write(self, hosts: Hosts, **nodes: object) -> None:
        """Write the stack file, its secrets sealed."""
        manager = SecretsManager(None, (Passphrase("test", "open"),))
        secrets = {"sshKey": USER_KEY, "sudoPassword": CANARY}
        config: dict[str, object] = {
            f"research-compute:{name}": {"secure": manager.encrypt(value)} for name, value in secrets.items()
        }
        config["research-compute:cluster"] = {
            "name": "lab",
            "domain": "lab.example.org",
            "contact": "cluster@lab.example.org",
            "nodes": {
                "ssh": {"user": "root", "privateKey": {"secret": "sshKey"}, "sudoPassword": {"secret": "sudoPassword"}},
                "hosts": hosts,
                **nodes,
            },
            "network": {"hosts": "127.0.0.0/24", "pods": "10.244.0.0/16", "services": "10.96.0.0/16"},
        }
        self.file.write_text(yaml.safe_dump({"encryptionsalt": manager.salt, "config": config}), encoding="utf-8")

    def plan(self, *steps: Step) -> None:
        """Have the plan be those steps: the real ones would look at this machine."""

        def planned(config: object, pins: object, stack: str) -> Sequence[Step]:
            return steps

        self.monkeypatch.setattr(asked, "host_steps", planned)

    def step(self, script: str, **values: str) -> Step:
        places = {
            "STATE_FOLDER": str(self.folder / "state"),
            "CACHE_FOLDER": str(self.folder / "cache"),
            "LOCK_FILE": str(self.folder / "lock"),
        }
        return Step(name=script, subject="cp-1", host="cp-1", values={**places, **values})

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run labctl in the project's folder: its exit code, what it printed, and what it said beside."""
        self.capsys.readouterr()
        code = run([*arguments, "--stack", "prod"])
        said = self.capsys.readouterr()
        assert CANARY not in said.out + said.err
        assert USER_KEY.splitlines()[1] not in said.out + said.err
        return code, said.out, said.err


@pytest.fixture
def project(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text((root / "Pulumi.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "open")
    monkeypatch.setenv("COLUMNS", "200")
    return Project(folder, monkeypatch, capsys)


def described(server: SshHost, *, key: str | None = None) -> dict[str, object]:
    described: dict[str, object] = {
        "address": "127.0.0.1",
        "roles": ["control-plane"],
        "ssh": {"port": server.port},
        "hardware": {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "100G"},
    }
    return described | ({} if key == "" else {"hostKey": key or server.public_key})


@pytest.mark.usefixtures("scripts")
class TestDrift:
    def test_nothing_differs(self, project: Project, server: SshHost) -> None:
        (project.folder / "wanted").write_text("x\n", encoding="utf-8")
        (project.folder / "wanted").chmod(0o644)
        project.write({"cp-1": described(server)})
        project.plan(project.step("file", WANTED_PATH=str(project.folder / "wanted"), WANTED_TEXT="x"))
        code, out, _ = project.run("drift")
        assert code == ExitCode.OK
        assert "✓ cp-1  root@127.0.0.1  converged\n" in out

    def test_something_differs(self, project: Project, server: SshHost) -> None:
        project.write({"cp-1": described(server)})
        project.plan(project.step("file", WANTED_PATH=str(project.folder / "wanted"), WANTED_TEXT="x"))
        code, out, _ = project.run("drift")
        assert code == ExitCode.DRIFT
        assert f"file {project.folder / 'wanted'}\n" in out
        code, out, _ = project.run("drift", "--json")
        assert code == ExitCode.DRIFT
        assert json.loads(out)["hosts"]["cp-1"]["steps"][0]["standing"] == "new"
        assert server.commands == ["bash -s check"] * 2, "one command each"

    def test_a_host_that_is_off_counts_more(self, project: Project, server: SshHost) -> None:
        project.write({"cp-1": {**described(server), "ssh": {"port": 1}}})
        project.plan(project.step("refusing"))
        code, out, _ = project.run("drift")
        assert code == ExitCode.UNANSWERED
        assert "no answer: root@127.0.0.1:1 cannot be reached (2 attempts)" in out

    def test_a_host_nobody_knows(self, project: Project, server: SshHost) -> None:
        project.write({"cp-1": described(server)})
        project.plan()
        code, _, err = project.run("drift", "--host", "cp-2")
        assert code == ExitCode.USAGE
        assert "has no cp-2 that can be asked" in err
        assert server.connections == []

    def test_no_passphrase(self, project: Project, server: SshHost) -> None:
        project.write({"cp-1": described(server)})
        project.plan()
        project.monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
        code, _, _ = project.run("drift")
        assert code == ExitCode.STATE
        assert server.connections == []

    @pytest.mark.parametrize(
        ("adopt", "words"), [({"simulated": True}, "are simulated"), ({}, "its hosts are somebody else's")]
    )
    def test_no_hosts_of_its_own(self, project: Project, server: SshHost, adopt: dict[str, object], words: str) -> None:
        project.write({"cp-1": described(server)}, adopt={"kubeconfig": "k", **adopt})
        code, out, _ = project.run("drift")
        assert code == ExitCode.OK
        assert words in out
        code, out, _ = project.run("drift", "--json")
        assert (code, json.loads(out)) == (ExitCode.OK, {"version": 1, "stack": "prod", "hosts": {}})
        assert server.connections == []


class TestHostKeys:
    def test_the_same(self, project: Project, server: SshHost) -> None:
        project.write({"cp-1": described(server)})
        code, out, _ = project.run("hosts", "keys")
        assert code == ExitCode.OK
        assert out.splitlines()[0] == f"cp-1  127.0.0.1:{server.port}  same"
        assert server.public_key in out
        assert "SHA256:" in out
        assert server.users == [], "nobody asked to be let in"

    def test_missing_and_written(self, project: Project, server: SshHost) -> None:
        project.write({"cp-1": described(server, key="")})
        before = project.file.read_text(encoding="utf-8")
        code, out, _ = project.run("hosts", "keys")
        assert code == ExitCode.OK
        assert "not pinned yet" in out
        assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in out
        assert project.file.read_text(encoding="utf-8") == before
        code, out, _ = project.run("hosts", "keys", "--write")
        assert code == ExitCode.OK
        assert "written to Pulumi.prod.yaml: hostKey of cp-1" in out
        after = project.file.read_text(encoding="utf-8")
        assert [line.strip() for line in after.splitlines() if line not in before.splitlines()] == [
            f"hostKey: {server.public_key}"
        ]
        assert project.run("hosts", "keys")[0] == ExitCode.OK

    def test_different_is_loud_and_never_overwritten(self, project: Project, server: SshHost) -> None:
        other = key_pair()[1]
        project.write({"cp-1": described(server, key=other)})
        before = project.file.read_text(encoding="utf-8")
        code, out, _ = project.run("hosts", "keys", "--write")
        assert code == ExitCode.DRIFT
        assert "DIFFERENT" in out
        assert "Another machine answers" in out
        assert project.file.read_text(encoding="utf-8") == before

    def test_a_key_that_two_hosts_share_is_not_written(self, project: Project, server: SshHost) -> None:
        clone = {**described(server, key=""), "address": "127.0.0.2", "roles": ["worker"]}
        project.write({"cp-1": described(server), "worker-1": clone})

        def host_keys(connector: Connector, host: str, port: int, **options: object) -> tuple[str, ...]:
            return (server.public_key,)

        project.monkeypatch.setattr(Connector, "host_keys", host_keys)
        code, out, _ = project.run("hosts", "keys", "--write")
        assert code == ExitCode.DRIFT
        assert "shared: the same key as cp-1" in out
        assert "hostKey of" not in out

    def test_no_answer(self, project: Project, server: SshHost) -> None:
        project.write({"cp-1": {**described(server), "ssh": {"port": 1}}})
        code, out, _ = project.run("hosts", "keys")
        assert code == ExitCode.UNANSWERED
        assert "no answer: 127.0.0.1:1 cannot be reached" in out

    def test_through_a_jump_host(self, project: Project, server: SshHost) -> None:
        with serving(SshHost(authorized=(USER_PUBLIC,), forwarding=True)) as jump:
            ssh: dict[str, object] = {
                "user": "root",
                "privateKey": {"secret": "sshKey"},
                "jump": {"address": "127.0.0.1", "port": jump.port, "user": "gate", "hostKey": jump.public_key},
            }
            project.write({"cp-1": described(server, key="")}, ssh=ssh)
            code, out, _ = project.run("hosts", "keys")
            assert (code, jump.users) == (ExitCode.OK, ["gate"])
            assert server.public_key in out
            assert {port for _, port in jump.forwarded} == {server.port}

    def test_an_impostor_of_the_jump_host_is_told_nothing(self, project: Project, server: SshHost) -> None:
        with serving(SshHost(authorized=(USER_PUBLIC,), forwarding=True)) as jump:
            gate: dict[str, object] = {"address": "127.0.0.1", "port": jump.port, "user": "gate"}
            ssh: dict[str, object] = {
                "user": "root",
                "privateKey": {"secret": "sshKey"},
                "jump": {**gate, "hostKey": key_pair()[1]},
            }
            project.write({"cp-1": described(server, key="")}, ssh=ssh)
            code, out, _ = project.run("hosts", "keys", "--write")
            assert code == ExitCode.UNANSWERED
            assert "is not the host it should be" in out
            assert (jump.users, jump.forwarded) == ([], [])

    def test_an_unknown_stack(self, project: Project) -> None:
        code, _, err = project.run("hosts", "keys")
        assert code == ExitCode.USAGE
        assert "no Pulumi.prod.yaml" in err
