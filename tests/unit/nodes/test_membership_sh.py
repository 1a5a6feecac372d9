"""How hosts ask, are admitted, begin a cluster or are refused: the scripts, run by a real bash without a cluster."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import pytest
from script_workshop import REFUSED

from components.nodes.steps import FILES

if TYPE_CHECKING:
    from pathlib import Path

    from script_workshop import Run, Workshop

    from components.nodes.steps import PlainValue


def run(workshop: Workshop, script: str, body: str = "desired", **values: PlainValue) -> Run:
    """Run a function of a script, with what it shares, on the folder that stands for a host."""
    texts = [(FILES / f"{name}.sh").read_text(encoding="utf-8") for name in ("kube", "encryption-check", script)]
    root = workshop.root
    own: dict[str, PlainValue] = {
        "KUBERNETES_FOLDER": str(root / "kubernetes"),
        "ETCD_FOLDER": str(root / "etcd"),
        "CONFIG_FOLDER": str(root / "config"),
        "ADDRESS": "192.0.2.11",
        "ENDPOINT": "192.0.2.10:6443",
        "ROLE": "control-plane",
    }
    return workshop.feed(workshop.text("\n".join([*texts, body]), **{**own, **values}))


def results(done: Run) -> dict[str, str]:
    found = done.report["result"]
    assert isinstance(found, dict)
    return {str(key): str(value) for key, value in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def openssl(*arguments: str, text: bytes = b"") -> str:
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, check=False)  # noqa: S607 - the machine's own
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def put(workshop: Workshop, path: str, text: str = "") -> Path:
    file = workshop.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def mark(workshop: Workshop, name: str, value: str) -> None:
    file = workshop.folder / "state" / "markers" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{value}\n", encoding="utf-8")


def answering(workshop: Workshop, *, answers: bool) -> None:
    """Let an API server answer at every address, or none."""
    workshop.stub("curl", "exit 0" if answers else "exit 7")


# --- asking


def test_a_host_asks_for_its_own_name_and_says_the_same_ever_after(workshop: Workshop) -> None:
    first, second = run(workshop, "request"), run(workshop, "request")
    assert first.changed == ["request 0"]
    assert (second.changed, results(second)) == ([], results(first))
    request = base64.b64decode(results(first)["csr"], validate=True)
    subject = openssl("req", "-noout", "-verify", "-subject", "-nameopt", "RFC2253", text=request)
    assert subject.strip() == "subject=CN=system:node:cp-1,O=system:nodes"
    assert (results(first)["member"], results(first)["holds_cluster"]) == ("false", "false")


def test_the_key_stays_on_the_host_and_is_roots_alone(workshop: Workshop) -> None:
    said = run(workshop, "request")
    key = workshop.folder / "state" / "join" / "0" / "key.pem"
    assert key.stat().st_mode & 0o7777 == 0o600
    assert key.parent.stat().st_mode & 0o7777 == 0o700
    middle = key.read_text().splitlines()[1]
    assert middle not in said.out + said.err
    assert middle not in "".join(base64.b64decode(results(said)[name]).decode() for name in ("csr", "recipient"))


def test_only_a_control_plane_host_can_be_sent_secrets(workshop: Workshop) -> None:
    assert results(run(workshop, "request", ROLE="worker"))["recipient"] == ""


def test_the_next_life_asks_anew_and_forgets_the_former(workshop: Workshop) -> None:
    first, second = run(workshop, "request", RECONVERGE=1), run(workshop, "request", RECONVERGE=2)
    assert results(first)["csr"] != results(second)["csr"]
    assert [path.name for path in (workshop.folder / "state" / "join").iterdir()] == ["2"]


def test_a_member_asks_for_nothing(workshop: Workshop) -> None:
    put(workshop, "kubernetes/kubelet.conf", "x")
    mark(workshop, "membership", "member")
    found = results(run(workshop, "request"))
    assert (found["csr"], found["recipient"], found["member"]) == ("", "", "true")


@pytest.mark.parametrize("path", ["kubernetes/pki/ca.key", "etcd/member/wal"])
def test_a_host_with_a_cluster_says_so(workshop: Workshop, path: str) -> None:
    put(workshop, path)
    assert results(run(workshop, "request"))["holds_cluster"] == "true"


# --- admitting


def admitted(workshop: Workshop, subject: str, host: str) -> Run:
    key = workshop.root / "key.pem"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key))
    request = openssl("req", "-new", "-batch", "-key", str(key), "-subj", subject)
    put(workshop, "csr.pem", request)
    return run(workshop, "admit", 'require_subject "$ROOT/csr.pem"', SUBJECT=host)


def test_a_host_is_given_its_own_name(workshop: Workshop) -> None:
    assert admitted(workshop, "/O=system:nodes/CN=system:node:w-1", "w-1").code == 0


@pytest.mark.parametrize(
    "subject",
    [
        "/O=system:nodes/CN=system:node:w-2",
        "/O=system:masters/CN=system:node:w-1",
        "/O=system:nodes/O=system:masters/CN=system:node:w-1",
        "/CN=system:node:w-1",
        "/O=system:nodes/CN=system:node:w-1/CN=system:node:w-2",
    ],
)
def test_a_host_is_given_no_other_name_and_no_other_group(workshop: Workshop, subject: str) -> None:
    done = admitted(workshop, subject, "w-1")
    assert done.code == REFUSED
    assert "w-1 asks for a certificate of another" in done.err


def test_the_shared_keys_are_opened_by_the_host_they_were_sent_to_alone(workshop: Workshop) -> None:
    names = (
        "ca.crt",
        "ca.key",
        "sa.key",
        "sa.pub",
        "front-proxy-ca.crt",
        "front-proxy-ca.key",
        "etcd/ca.crt",
        "etcd/ca.key",
    )
    for name in names:
        put(workshop, f"kubernetes/pki/{name}", f"text of {name}\n")
    for generation in (0, 1):
        run(workshop, "request", RECONVERGE=generation)
        (workshop.folder / "state" / "join" / str(generation)).rename(workshop.root / f"host-{generation}")
    sealed = run(workshop, "admit", 'result pki "$(sealed_keys "$ROOT/host-0/recipient.pem")"', SUBJECT="cp-2")
    pki = results(sealed)["pki"]
    assert "text of" not in base64.b64decode(pki).decode("latin-1")
    there = str(workshop.root / "there")
    opened = run(workshop, "join", 'open_keys "$ROOT/host-0"', PKI=pki, KUBERNETES_FOLDER=there)
    assert opened.code == 0, opened.err
    assert {name: (workshop.root / "there" / "pki" / name).read_text() for name in names} == {
        name: f"text of {name}\n" for name in names
    }
    other = run(workshop, "join", 'open_keys "$ROOT/host-1"', PKI=pki, KUBERNETES_FOLDER=str(workshop.root / "other"))
    assert other.code != 0
    assert "cannot be opened" in other.err


def test_nobody_admits_before_there_is_a_cluster(workshop: Workshop) -> None:
    answering(workshop, answers=False)
    done = run(workshop, "admit", SUBJECT="cp-1", MEMBER="false")
    assert (done.changed, results(done)) == ([], {})


def test_a_host_that_is_no_member_yet_does_not_say_that_there_is_nothing_to_join(workshop: Workshop) -> None:
    answering(workshop, answers=True)
    done = run(workshop, "admit", SUBJECT="cp-1", MEMBER="false")
    assert done.code != 0
    assert "is no member of the cluster at 192.0.2.10:6443 itself yet" in done.err


# --- beginning


@pytest.mark.parametrize(
    ("answers", "own", "others", "begins", "reason"),
    [
        (False, False, "false", True, ""),
        (True, False, "false", False, "a cluster answers at 192.0.2.10:6443"),
        (False, True, "false", None, "cp-1 holds a cluster's CA or etcd data"),
        (False, False, "true", None, "cp-2 holds a cluster's CA or etcd data, but no API server answers"),
        (False, False, "", None, "cp-2 holds a cluster's CA or etcd data"),
    ],
)
def test_a_cluster_begins_only_where_there_is_none_anywhere(  # noqa: PLR0913 - a table's columns
    workshop: Workshop,
    *,
    answers: bool,
    own: bool,
    others: str,
    begins: bool | None,
    reason: str,
) -> None:
    answering(workshop, answers=answers)
    if own:
        put(workshop, "etcd/member/wal")
    done = run(
        workshop,
        "cluster",
        "if may_begin; then result begins yes; else result begins no; fi",
        HOSTS=("cp-1", "cp-2"),
        HOLDS_CLUSTER_0="false",
        HOLDS_CLUSTER_1=others,
    )
    if begins is None:
        assert done.code == REFUSED
    else:
        assert results(done)["begins"] == ("yes" if begins else "no")
    assert reason in done.err


# --- joining


def test_a_host_nobody_admitted_says_how_it_can_be(workshop: Workshop) -> None:
    done = run(
        workshop, "join", CERTIFICATE="", CLUSTER_CA="", PKI="", KUBEADM_JOIN="", DISCOVERY=str(workshop.root / "d/c")
    )
    assert done.code == REFUSED
    assert "nodes.hosts.cp-1.reconverge" in done.err


def test_a_host_of_another_cluster_is_left_alone(workshop: Workshop) -> None:
    put(workshop, "kubernetes/kubelet.conf", "x")
    put(workshop, "kubernetes/pki/ca.crt", "theirs\n")
    ours = base64.b64encode(b"ours\n").decode()
    done = run(workshop, "join", "adopt_membership", CLUSTER_CA=ours)
    assert done.code == REFUSED
    assert "belongs to a cluster that this program did not join it to" in done.err


def test_a_member_without_our_marker_is_known_by_its_ca(workshop: Workshop) -> None:
    put(workshop, "kubernetes/kubelet.conf", "x")
    put(workshop, "kubernetes/pki/ca.crt", "ours\n")
    ours = base64.b64encode(b"ours\n").decode()
    assert results(run(workshop, "join", 'adopt_membership\nresult is "$(membership)"', CLUSTER_CA=ours)) == {
        "is": "member"
    }


# --- etcd's majority


def members(*states: str) -> str:
    """Return what `etcdctl member list` prints, of hosts by number and state: well, silent, learner or unstarted."""
    lines: list[str] = []
    for state in states:
        number, word = state.split("-")
        address = f"https://192.0.2.{number}"
        started = "unstarted" if word == "unstarted" else "started"
        client = "" if word == "unstarted" else f"{address}:2379"
        name = "" if word == "unstarted" else f"cp-{number}"
        lines.append(f"a{number}, {started}, {name}, {address}:2380, {client}, {str(word == 'learner').lower()}")
    return "\n".join(lines)


def etcd_of(workshop: Workshop, silent: str) -> None:
    """Let etcdctl list the members in a file, find silent whose URL meets the pattern, and note whom it removes."""
    workshop.stub(
        "etcdctl",
        f'case "$*" in *"member list") cat {workshop.root}/members ;;'
        f' *"endpoint health") case "$*" in {silent}) exit 1 ;; esac ;;'
        f' *"member remove"*) echo "${{@: -1}}" >>{workshop.root}/removed ;; esac',
    )


@pytest.mark.parametrize(
    ("states", "allowed"),
    [
        (("11-well", "12-well", "13-well"), True),
        (("11-silent", "12-well", "13-well"), True),
        (("11-well", "12-silent", "13-well"), False),
        (("11-well", "12-well"), True),
        (("11-well", "12-silent"), False),
        (("11-well",), False),
        (("11-well", "12-well", "13-well", "14-silent", "15-well"), True),
        (("11-well", "12-silent", "13-well", "14-silent", "15-well"), False),
        (("11-learner", "12-silent", "13-well"), True),
        (("11-unstarted", "12-well", "13-well"), True),
        (("12-well", "13-well"), True),
    ],
)
def test_a_member_leaves_only_where_the_others_have_a_majority(
    workshop: Workshop, states: tuple[str, ...], *, allowed: bool
) -> None:
    put(workshop, "members", members(*states) + "\n")
    silent = (
        "|".join(f"*192.0.2.{state.split('-')[0]}:2379*" for state in states if state.endswith("silent")) or "nobody"
    )
    etcd_of(workshop, silent)
    done = run(workshop, "leave", 'remove_etcd_member "https://192.0.2.11:2380"', SUBJECT="cp-11")
    removed = workshop.root / "removed"
    if not allowed:
        assert done.code == REFUSED
        assert "no majority" in done.err
    else:
        assert done.code == 0, done.err
    expected = ["a11"] if allowed and states[0].startswith("11") else []
    assert (removed.read_text().split() if removed.exists() else []) == expected


def test_an_etcd_that_does_not_answer_is_no_etcd_without_the_member(workshop: Workshop) -> None:
    workshop.stub("etcdctl", "echo 'context deadline exceeded' >&2; exit 1")
    done = run(workshop, "leave", 'remove_etcd_member "https://192.0.2.11:2380"', SUBJECT="cp-11")
    assert done.code != 0


def test_only_the_silent_that_nobody_means_to_have_are_taken_out_of_etcd(workshop: Workshop) -> None:
    put(workshop, "members", members("11-silent", "12-well", "13-well", "14-silent", "15-well", "16-well") + "\n")
    etcd_of(workshop, "*192.0.2.11:2379*|*192.0.2.14:2379*")
    done = run(workshop, "admit", "remove_lost_members 192.0.2.12 192.0.2.13 192.0.2.14 192.0.2.15", SUBJECT="cp-9")
    assert done.code == 0, done.err
    assert (workshop.root / "removed").read_text().split() == ["a11"]


# --- the control plane's configuration


def test_another_endpoint_is_refused_once_there_is_a_cluster(workshop: Workshop) -> None:
    put(workshop, "config/kubeadm.yaml", "kind: ClusterConfiguration\ncontrolPlaneEndpoint: 192.0.2.11:6443\n")
    assert run(workshop, "load-balancer", "refuse_other_endpoint").code == 0
    mark(workshop, "membership", "member")
    done = run(workshop, "load-balancer", "refuse_other_endpoint")
    assert done.code == REFUSED
    assert "made for the endpoint 192.0.2.11:6443" in done.err
    assert run(workshop, "load-balancer", "refuse_other_endpoint", ENDPOINT="192.0.2.11:6443").code == 0


def test_an_ipv6_endpoint_is_known_again(workshop: Workshop) -> None:
    put(workshop, "config/kubeadm.yaml", "controlPlaneEndpoint: '[2001:db8::10]:6443'\n")
    mark(workshop, "membership", "member")
    assert run(workshop, "load-balancer", "refuse_other_endpoint", ENDPOINT="[2001:db8::10]:6443").code == 0


@pytest.mark.parametrize(
    ("key", "good"),
    [
        (base64.b64encode(bytes(32)).decode(), True),
        (base64.b64encode(bytes(31)).decode(), False),
        ("not base64 at all", False),
        ("", False),
        (base64.b64encode(bytes(32)).decode() + "\n", False),
    ],
)
def test_a_key_that_would_stop_the_api_server_is_refused_unseen(workshop: Workshop, key: str, *, good: bool) -> None:
    done = run(workshop, "control-plane", 'require_key one "$KEY"', KEY=key)
    assert done.code == (0 if good else REFUSED)
    assert not key.strip() or key.strip() not in done.err


def test_whom_an_etcd_member_began_with_is_kept(workshop: Workshop) -> None:
    wanted = "    - --heartbeat-interval=200\n    - --initial-cluster=cp-1=https://192.0.2.11:2380\n    - --name=cp-1"
    actual = (
        "    - --heartbeat-interval=100\n    - --initial-cluster=cp-2=https://192.0.2.12:2380,cp-1=https://192.0.2.11:2380\n"
        "    - --initial-cluster-state=existing\n    - --name=cp-1"
    )
    found = results(
        run(
            workshop,
            "control-plane",
            'result text "$(keep_initial_cluster "$WANTED" "$ACTUAL")"',
            WANTED=wanted,
            ACTUAL=actual,
        )
    )
    assert found["text"] == actual.replace("interval=100", "interval=200")
