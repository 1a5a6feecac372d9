"""What the page says of the scheduler's, the kubelet's and the API server's own words.

The messages are recorded: a kube-scheduler and a kube-apiserver 1.36 said them on an embedded control plane of two
nodes for everybody and two tainted GPU nodes, one of them with two slices, both taken.
"""

from __future__ import annotations

import pytest

from components.hub.files.lab_hub.failures import (
    ClusterAwayError,
    NotStartedError,
    ServerEndedError,
    message_of,
    refusal_words,
)
from components.hub.files.lab_hub.stages import shortage_of, stage_of, trouble_of
from components.hub.files.lab_hub.words import Lack, Shortage, lack_of, resource_words, waiting_words

NO_HELP = (
    " no new claims to deallocate, preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
)
GPU = "nvidia.com/mig-1g.10gb"
MESSAGES: list[tuple[str, Lack, str | None]] = [
    (
        (
            f"0/4 nodes are available: 4 Insufficient {GPU}. no new claims to deallocate, preemption: 0/4 nodes are "
            "available: 1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling."
        ),
        Lack.GPU,
        GPU,
    ),
    (
        f"0/4 nodes are available: 2 Insufficient {GPU}, 2 node(s) didn't match Pod's node affinity/selector.{NO_HELP}",
        Lack.GPU,
        GPU,
    ),
    (f"0/4 nodes are available: 2 Insufficient {GPU}, 2 node(s) had untolerated taint(s).{NO_HELP}", Lack.GPU, GPU),
    (f"0/4 nodes are available: 4 Insufficient nvidia.com/gpu.{NO_HELP}", Lack.GPU, "nvidia.com/gpu"),
    (
        f"0/4 nodes are available: 2 Insufficient memory, 2 node(s) had untolerated taint(s).{NO_HELP}",
        Lack.MEMORY,
        None,
    ),
    (f"0/4 nodes are available: 4 Insufficient cpu, 4 Insufficient memory.{NO_HELP}", Lack.MEMORY, None),
    (f"0/4 nodes are available: 4 Insufficient cpu.{NO_HELP}", Lack.CPU, None),
    (f"0/4 nodes are available: 4 Insufficient ephemeral-storage.{NO_HELP}", Lack.ROOM, None),
    (
        (
            "0/4 nodes are available: 4 Too many pods. no new claims to deallocate, preemption: 0/4 nodes are "
            "available: 4 No preemption victims found for incoming pod."
        ),
        Lack.ROOM,
        None,
    ),
    (
        (
            "0/4 nodes are available: 2 node(s) didn't match Pod's node affinity/selector, 2 node(s) had untolerated "
            f"taint(s).{NO_HELP}"
        ),
        Lack.MACHINE,
        None,
    ),
    (f"0/4 nodes are available: 4 node(s) were unschedulable.{NO_HELP}", Lack.MACHINE, None),
    ("no nodes available to schedule pods", Lack.MACHINE, None),
    ("0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found", Lack.HOME, None),
    (
        (
            "0/4 nodes are available: 2 node(s) didn't find available persistent volumes to bind, 2 node(s) had "
            f"untolerated taint(s).{NO_HELP}"
        ),
        Lack.HOME,
        None,
    ),
    ('0/4 nodes are available: persistentvolumeclaim "missing" not found. not found', Lack.HOME, None),
    ("something a later scheduler says", Lack.OTHER, None),
]
REFUSALS: list[tuple[int, str, str]] = [
    (
        403,
        (
            'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
            '(container "notebook" must set securityContext.allowPrivilegeEscalation=false)'
        ),
        "This server asks for rights that no server has. Tell it@lab: its profile has to be changed.",
    ),
    (
        403,
        (
            'pods "p" is forbidden: exceeded quota: quota, requested: requests.cpu=1,requests.memory=1Gi, used: '
            "requests.cpu=0,requests.memory=0, limited: requests.cpu=500m,requests.memory=512Mi"
        ),
        (
            "The lab's servers together may use no more at the moment (requests.cpu=1,requests.memory=1Gi was asked "
            "for). Start a smaller one, or try again when somebody has stopped theirs. Tell it@lab if it stays like "
            "this."
        ),
    ),
    (
        403,
        'pods "p" is forbidden: maximum memory usage per Container is 512Mi, but limit is 1Gi',
        "This server is larger or smaller than servers may be here. Tell it@lab: its profile has to be changed.",
    ),
    (
        403,
        'pods "p" is forbidden: no PriorityClass with name nope was found',
        "The cluster lacks something every server needs. Tell it@lab.",
    ),
    (
        422,
        (
            "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'hub-pods-test' with binding 'hub-pods-test' denied "
            "request: the user id of ana is 4001, not 1000"
        ),
        "This server is not allowed: the user id of ana is 4001, not 1000. Tell it@lab if you think it should be.",
    ),
    (
        422,
        'Pod "BAD NAME" is invalid: spec.containers: Required value',
        "The cluster does not understand what this server asks for. Tell it@lab: its profile has to be changed.",
    ),
    (403, "pods is forbidden: User cannot create", "The cluster refused to start this server. Tell it@lab."),
]


@pytest.mark.parametrize(("message", "lack", "resource"), MESSAGES)
def test_the_scheduler_s_message_tells_what_is_short(message: str, lack: Lack, resource: str | None) -> None:
    assert lack_of(message) == Shortage(lack=lack, resource=resource)


@pytest.mark.parametrize(("message", "lack", "resource"), MESSAGES)
def test_no_word_of_the_scheduler_s_reaches_the_sentence(message: str, lack: Lack, resource: str | None) -> None:
    said = waiting_words(lack_of(message), contact="it@lab")
    assert said.endswith(".")
    for foreign in ("node", "pod", "taint", "nvidia", "Insufficient", "preemption", "PersistentVolume", "0/4"):
        assert foreign not in said


def test_room_that_is_being_made_is_said_before_anything_else() -> None:
    assert lack_of(MESSAGES[0][0], is_evicting=True).lack is Lack.EVICTION


@pytest.mark.parametrize(("status", "message", "words"), REFUSALS)
def test_a_refusal_says_what_to_do_and_whom_to_tell(status: int, message: str, words: str) -> None:
    assert refusal_words(status, message, "it@lab") == words


def test_without_a_contact_somebody_is_named_all_the_same() -> None:
    assert "whoever runs the lab" in refusal_words(500, "", None)


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("nvidia.com/mig-1g.10gb", "1g.10gb"),
        ("nvidia.com/mig-3g.40gb.shared", "3g.40gb (shared)"),
        ("nvidia.com/gpu", "GPU"),
        ("amd.com/gpu", "GPU"),
        ("nvidia.com/known", "H100"),
    ],
)
def test_a_resource_has_a_name_people_know(resource: str, name: str) -> None:
    assert resource_words(resource, {"nvidia.com/known": "H100"}) == name


def pod(*, node: str | None = None, phase: str = "Pending", message: str = "", waiting: str = "") -> dict[str, object]:
    """Return a pod as the API server has it."""
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    status: dict[str, object] = {"phase": phase, "conditions": conditions if message else []}
    if waiting:
        status["containerStatuses"] = [{"name": "notebook", "state": {"waiting": {"reason": waiting}}}]
    return {"metadata": {"name": "p", "uid": "u"}, "spec": {"nodeName": node} if node else {}, "status": status}


def test_a_server_that_waits_says_so_with_figures_and_keeps_the_raw_message_for_the_log() -> None:
    told = stage_of(pod(message=MESSAGES[0][0]), (), "7 of 7 1g.10gb are in use.")
    assert told.message == (
        "No GPU of this kind is free at the moment. 7 of 7 1g.10gb are in use. Your server starts by itself as soon as "
        "one is free. You can wait, or cancel and choose another kind."
    )
    assert told.waits
    assert told.detail == MESSAGES[0][0]


def test_the_stages_come_in_order() -> None:
    pulling = {"reason": "Pulling", "message": 'Pulling image "x"'}
    stages = [
        stage_of(pod(), (), ""),
        stage_of(pod(node="n"), [pulling], ""),
        stage_of(pod(node="n"), [pulling, {"reason": "Started"}], ""),
        stage_of(pod(node="n", phase="Running"), (), ""),
    ]
    assert [told.progress for told in stages] == sorted(told.progress for told in stages)
    assert "copied to its machine" in stages[1].message
    assert not any(told.waits for told in stages)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("ImagePullBackOff", "could not be fetched"),
        ("CrashLoopBackOff", "ends right after"),
        ("ContainerCreating", None),
    ],
)
def test_trouble_on_the_machine_is_told(reason: str, words: str | None) -> None:
    trouble = trouble_of(pod(node="n", waiting=reason))
    assert (words in trouble) if words and trouble else trouble is None


def test_a_placed_server_is_short_of_nothing() -> None:
    assert shortage_of(pod(node="n", message="0/1 nodes are available: 1 Insufficient cpu.")) is None


def test_giving_up_names_the_reason_and_what_to_do() -> None:
    words = NotStartedError(600, Shortage(lack=Lack.GPU, resource=GPU), None, "it@lab").jupyterhub_message
    assert words == (
        "Your server did not start within 10 minutes and was given up. No GPU of this kind is free at the moment. "
        "Try again later, or choose another kind of server."
    )
    assert "Tell" not in words
    assert "tell it@lab" in NotStartedError(60, None, None, "it@lab").jupyterhub_message


def test_a_server_that_ran_out_of_memory_is_told_so() -> None:
    assert "more memory than it may" in ServerEndedError(137, "OOMKilled", None).jupyterhub_message


def test_an_api_server_that_is_away_is_no_fault_of_the_user() -> None:
    assert "has not answered for 30 seconds" in ClusterAwayError(30.2, "refused", None).jupyterhub_message


@pytest.mark.parametrize(("body", "message"), [('{"message": "no"}', "no"), ("<html>", "<html>"), ("[1]", "[1]")])
def test_an_answer_s_message_is_found(body: str, message: str) -> None:
    assert message_of(body) == message
