"""Steps as commands: what is registered for a whole lab, how a shell becomes root, what a lost machine keeps."""

from __future__ import annotations

import os
import shutil
import subprocess
from ipaddress import ip_network
from typing import TYPE_CHECKING, cast

import pulumi
import pytest

from components.networks import Networks
from components.nodes.component import NodeBootstrap, NodeBootstrapArgs
from components.nodes.config import NodesConfig
from components.nodes.plan import SshTarget
from components.nodes.settings import ClusterSettings
from components.nodes.shells import PASSWORD_END, shell
from labctl.graph.monitor import Answer, ResourceMonitor
from labctl.graph.program import Program, run_program
from labctl.graph.values import Secret, as_mapping, contains_secret, redact
from stacks.environments import EnvironmentName
from stacks.pins import load_pins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from labctl.graph.goal import Goal

HARDWARE = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "100G"}
KEYS = (
    "AAAAC3NzaC1lZDI1NTE5AAAAICQ5h0WpOOUL5c+6YPQkmCkQNyu8U71JlFTv6/DxtS5V",
    "AAAAC3NzaC1lZDI1NTE5AAAAIB0v6NH7anTus2RJs7dNYAOwh7FK1Ah7GQw3WUW15JvI",
    "AAAAC3NzaC1lZDI1NTE5AAAAIFFHWK4E4zq/1FxOSWNcyWuUQkslEpnaoHfsUHUQnHeg",
)


def host(number: int, role: str, **more: object) -> dict[str, object]:
    key = f"ssh-ed25519 {KEYS[number]}"
    return {"address": f"192.0.2.{number + 1}", "roles": [role], "hostKey": key, "hardware": HARDWARE, **more}


HOSTS: dict[str, object] = {"cp-1": host(0, "control-plane"), "worker-1": host(1, "worker")}


class Recorder(ResourceMonitor):
    """Answers with the inputs, and for a command with what its step would say; keeps the goals."""

    def __init__(self) -> None:
        super().__init__(project="research-compute", stack="prod")
        self.goals: dict[str, Goal] = {}

    def register(self, goal: Goal) -> Answer:
        self.goals[goal.name] = goal
        said = '{"result": {"csr": "Q1NS", "kubeconfig": "a2luZDogQ29uZmln", "certificate": "Q0VSVA=="}}'
        outputs = goal.inputs | {"stdout": said} if goal.type == "command:remote:Command" else goal.inputs
        return Answer(outputs=outputs)

    def register_outputs(self, urn: str, outputs: object) -> None:
        del urn, outputs


def registered(root: Path, section: Mapping[str, object], *, preview: bool = False) -> dict[str, Goal]:
    """Return what a lab with this nodes section registers, by name."""
    config = NodesConfig.model_validate(section)
    settings = ClusterSettings(
        name="lab",
        hosts=Networks.of("192.0.2.0/24"),
        pods=Networks.of("10.244.0.0/16"),
        services=Networks.of("10.96.0.0/16"),
        domain="cluster.local",
        pins=load_pins(EnvironmentName.PROD),
    )

    def entry() -> None:
        NodeBootstrap(
            "bootstrap",
            NodeBootstrapArgs(
                config=config,
                project=root,
                secret=lambda reference: pulumi.Output.secret(f"secret of {reference.secret}"),
                settings=settings,
            ),
        )

    recorder = Recorder()
    run_program(Program(project="research-compute", stack="prod", entry=entry, root=root), recorder, preview=preview)
    return {name: goal for name, goal in recorder.goals.items() if goal.type == "command:remote:Command"}


def text_of(goal: Goal) -> str:
    """Return what a command is fed."""
    stdin = goal.inputs["stdin"]
    return cast("str", stdin.value if isinstance(stdin, Secret) else stdin)


def test_no_command_has_a_trigger_and_each_is_updated_in_place(tmp_path: Path) -> None:
    for goal in registered(tmp_path, {"hosts": HOSTS}).values():
        assert "triggers" not in goal.inputs
        assert goal.inputs.get("create") == goal.inputs.get("update")
        assert as_mapping(goal.inputs["connection"])["hostKey"] in {f"ssh-ed25519 {key}" for key in KEYS}


def test_what_was_admitted_is_history(tmp_path: Path) -> None:
    admission = registered(tmp_path, {"hosts": HOSTS})["bootstrap-worker-1-admit-0"]
    assert {"connection", "create", "update", "stdin"} <= set(admission.ignore_changes)
    assert "delete" not in admission.inputs
    later = {**HOSTS, "worker-1": host(1, "worker", reconverge=1)}
    assert "bootstrap-worker-1-admit-1" in registered(tmp_path, {"hosts": later})


def test_results_flow_from_step_to_step(tmp_path: Path) -> None:
    goals = registered(tmp_path, {"hosts": HOSTS})
    assert "readonly REQUEST=Q1NS\n" in text_of(goals["bootstrap-worker-1-admit-0"])
    assert "readonly CERTIFICATE=Q0VSVA==\n" in text_of(goals["bootstrap-worker-1-join"])


def test_order_and_the_place_where_it_begins_mean_nothing(tmp_path: Path) -> None:
    planes = {f"cp-{number}": host(number, "control-plane") for number in range(3)}
    endpoint = {"address": "192.0.2.100"}
    one = registered(tmp_path, {"hosts": planes, "endpoint": endpoint, "bootstrapHost": "cp-0"})
    other = registered(
        tmp_path, {"hosts": dict(reversed(planes.items())), "endpoint": endpoint, "bootstrapHost": "cp-2"}
    )
    assert one.keys() == other.keys()
    for name in one:
        if not one[name].ignore_changes and not name.endswith("-member"):
            assert one[name].inputs == other[name].inputs, name


def test_the_last_control_plane_host_outlives_the_others(tmp_path: Path) -> None:
    planes = {f"cp-{number}": host(number, "control-plane") for number in range(3)}
    common: dict[str, object] = {"endpoint": {"address": "192.0.2.100"}, "bootstrapHost": "cp-0"}
    three = registered(tmp_path, {"hosts": planes, **common})
    one = registered(tmp_path, {"hosts": {"cp-0": planes["cp-0"]}, **common})
    assert as_mapping(three["bootstrap-cp-0-member"].inputs["connection"])["host"] == "192.0.2.2"
    assert "delete" in three["bootstrap-cp-0-member"].inputs
    assert not {"create", "update", "delete"} & one["bootstrap-cp-0-member"].inputs.keys()
    of_the_others = {name for name in three if name.startswith(("bootstrap-cp-1-", "bootstrap-cp-2-"))}
    assert not {name for name in three.keys() - one.keys() - of_the_others if "delete" in three[name].inputs}


def test_raising_reconverge_touches_every_step_of_that_host_alone(tmp_path: Path) -> None:
    before = registered(tmp_path, {"hosts": HOSTS})
    after = registered(tmp_path, {"hosts": {**HOSTS, "worker-1": host(1, "worker", reconverge=1)}})
    changed = {name for name in before.keys() & after.keys() if before[name].inputs != after[name].inputs}
    own = {name for name in before if name.startswith("bootstrap-worker-1-") and "admit" not in name}
    assert changed == own


def test_a_lost_machine_keeps_its_resources_and_is_asked_nothing(tmp_path: Path) -> None:
    before = registered(tmp_path, {"hosts": HOSTS})
    after = registered(tmp_path, {"hosts": {**HOSTS, "worker-1": host(1, "worker", lost=True)}})
    assert before.keys() - after.keys() == {"bootstrap-worker-1-member"}
    for name, goal in after.items():
        if name.startswith("bootstrap-worker-1-"):
            assert goal.retain_on_delete
            assert not {"create", "update", "delete"} & goal.inputs.keys()
            assert {"create", "delete", "stdin", "connection"} <= set(goal.ignore_changes)


def test_secrets_stay_secrets(tmp_path: Path) -> None:
    section = {
        "hosts": HOSTS,
        "ssh": {"privateKey": {"secret": "sshKey"}, "sudoPassword": {"secret": "sudo"}},
        "controlPlane": {"encryption": {"keys": [{"name": "a", "key": {"secret": "etcdKey"}}]}},
    }
    goals = registered(tmp_path, section)
    assert "secret of" not in repr([redact(goal.inputs[key]) for goal in goals.values() for key in goal.inputs])
    for goal in goals.values():
        assert contains_secret(goal.inputs["connection"])
        assert isinstance(goal.inputs["stdin"], Secret)
        assert goal.inputs["logging"] == "none"
        assert text_of(goal).startswith(f"secret of sudo\n{PASSWORD_END}\n")
    assert "stdout" in registered(tmp_path, {"hosts": HOSTS})["bootstrap-kubeconfig-0"].additional_secret_outputs


def target(user: str) -> SshTarget:
    return SshTarget(host="a", address=ip_network("192.0.2.1/32")[0], port=22, user=user, host_key="k")


def test_a_shell_becomes_root_as_the_login_needs() -> None:
    assert shell(target("root"), "apply", asks_password=True) == "bash -s apply"
    assert shell(target("ubuntu"), "check", asks_password=False) == "sudo -n bash -s check"
    assert shell(target("ubuntu"), "undo", asks_password=True).endswith("undo")


SUDO = """#!/bin/bash
# Stands for sudo: asks for a password unless told that none is needed.
while [[ $1 == -* ]]; do case $1 in -v) validate=1;; -p) shift;; esac; shift; done
if [[ $ASKS == yes ]]; then
    IFS= read -r given || { echo 'no password was provided' >&2; exit 1; }
    [[ $given == right ]] || { echo 'Sorry, try again.' >&2; exit 1; }
fi
[[ $validate ]] && exit 0
exec "$@"
"""


@pytest.mark.parametrize(("asks", "password", "code"), [("yes", "right", 0), ("no", "right", 0), ("yes", "wrong", 77)])
def test_the_password_reaches_sudo_and_nobody_else(tmp_path: Path, asks: str, password: str, code: int) -> None:
    (tmp_path / "sudo").write_text(SUDO, encoding="utf-8")
    (tmp_path / "sudo").chmod(0o755)
    text = 'main() {\ncat >"$SEEN" <<<"mode $1"\n}\nmain "$@" </dev/null\nexit\n'
    ended = subprocess.run(
        [shutil.which("sh") or "sh", "-c", shell(target("ubuntu"), "apply", asks_password=True)],
        input=f"{password}\n{PASSWORD_END}\n{text}",
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "ASKS": asks, "SEEN": str(tmp_path / "seen")},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert ended.returncode == code, ended.stderr
    assert password not in ended.stdout + ended.stderr
    if code == 0:
        assert (tmp_path / "seen").read_text() == "mode apply\n"
    else:
        assert "nodes.ssh.sudoPassword" in ended.stderr
