"""When a static pod has been replaced: by what runs on the host, run by a real bash on a folder that stands for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from script_workshop import FAILED

from components.nodes.steps import FILES

if TYPE_CHECKING:
    from script_workshop import Run, Workshop

    from components.nodes.steps import PlainValue

OLD, NEW = "58dfdafdfcee1f4f20ea24d7d2740686", "412d5fd6fa15d20d9223fbac9f03e15a"
UNIFIED = "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod}.slice/cri-containerd-0a1b.scope\n"
LEGACY = (
    "12:pids:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod}.slice/cri-containerd-0a1b.scope\n"
    "1:name=systemd:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod}.slice/cri-containerd-0a1b.scope\n"
)
GUARANTEED = "0::/kubepods.slice/kubepods-pod{pod}.slice/cri-containerd-0a1b.scope\n"
BY_HAND = "0::/user.slice/user-0.slice/session-1.scope\n"


def run(workshop: Workshop, body: str, **values: PlainValue) -> Run:
    """Run functions of the step on the folder."""
    texts = [
        (FILES / f"{name}.sh").read_text(encoding="utf-8") for name in ("kube", "encryption-check", "control-plane")
    ]
    own: dict[str, PlainValue] = {
        "PROCESSES_FOLDER": str(workshop.root / "proc"),
        "KUBERNETES_FOLDER": str(workshop.root / "kubernetes"),
        "READY_SECONDS": 2,
        "API_SERVER": "192.0.2.11:6443",
        "ADDRESS": "192.0.2.11",
    }
    return workshop.feed(workshop.text("\n".join([*texts, body]), **{**own, **values}))


def process(workshop: Workshop, number: int, program: str, groups: str) -> None:
    """Have a process of this program run in these control groups."""
    folder = workshop.root / "proc" / str(number)
    folder.mkdir(parents=True)
    (folder / "exe").symlink_to(f"/usr/local/bin/{program}")
    (folder / "cgroup").write_text(groups, encoding="utf-8")


@pytest.mark.parametrize("groups", [UNIFIED, LEGACY, GUARANTEED])
def test_a_pod_is_known_by_its_process(workshop: Workshop, groups: str) -> None:
    process(workshop, 10, "kube-apiserver", groups.format(pod=OLD))
    process(workshop, 11, "kube-scheduler", groups.format(pod=NEW))
    # One that somebody started by hand, and one that has ended while it was looked at.
    process(workshop, 12, "kube-apiserver", BY_HAND)
    (workshop.root / "proc" / "13").mkdir()
    assert run(workshop, 'result pods "$(pods_of kube-apiserver)"').report["result"] == {"pods": OLD}


@pytest.mark.parametrize(
    ("now", "before", "replaced"),
    [
        ([NEW], OLD, True),
        ([OLD], OLD, False),
        ([OLD, NEW], OLD, False),
        ([], OLD, False),
        ([], "", False),
        ([NEW], "", True),
    ],
)
def test_it_is_replaced_when_only_another_pod_runs(
    workshop: Workshop, now: list[str], before: str, *, replaced: bool
) -> None:
    for number, pod in enumerate(now):
        process(workshop, number, "etcd", UNIFIED.format(pod=pod))
    done = run(workshop, 'if has_new_pod etcd "$BEFORE"; then result is yes; else result is no; fi', BEFORE=before)
    assert done.report["result"] == {"is": "yes" if replaced else "no"}


@pytest.mark.parametrize("answer", ["200", "500"])
def test_one_that_does_not_come_up_is_put_back(workshop: Workshop, answer: str) -> None:
    manifest = workshop.root / "kubernetes" / "manifests" / "kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("former\n", encoding="utf-8")
    workshop.stub("curl", f"printf {answer}")
    # Stands for the kubelet: what runs is what the manifest says.
    kubelet = f'pods_of() {{ if [[ $(<"{manifest}") == former ]]; then echo {OLD}; else echo {NEW}; fi; }}'
    done = run(workshop, f"{kubelet}\nreplace_static_pod kube-apiserver wanted former")
    assert done.code == (0 if answer == "200" else FAILED), done.err
    assert manifest.read_text(encoding="utf-8") == ("wanted\n" if answer == "200" else "former\n")
