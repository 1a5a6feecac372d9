"""Which change of the encryption keys is made, and when all Secrets are written anew."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.nodes.config import NodesConfig
from components.nodes.encryption_plan import check, rewrite_steps
from components.nodes.steps import FILES, Lifecycle

if TYPE_CHECKING:
    from collections.abc import Generator

HARDWARE = {"cpus": 8, "memory": "32Gi", "ephemeralStorage": "200G"}
HOSTS = {
    f"cp-{index}": {"address": f"192.0.2.{index}", "roles": ["control-plane"], "hardware": HARDWARE}
    for index in (1, 2, 3)
}


def nodes(*names: str, rewritten: str | None = None, **keys: str) -> NodesConfig:
    listed = [
        {"name": name} if name == "identity" else {"name": name, "key": {"secret": keys.get(name, f"key{name}")}}
        for name in names
    ]
    encryption = {"keys": listed, "rewritten": rewritten}
    return NodesConfig.model_validate({"hosts": HOSTS, "controlPlane": {"encryption": encryption}})


def test_secrets_are_written_anew_when_every_host_has_the_keys() -> None:
    assert rewrite_steps(nodes("a", "b")) == ()
    assert rewrite_steps(NodesConfig.model_validate({"hosts": HOSTS})) == ()
    (step,) = rewrite_steps(nodes("b", "a", rewritten="b"))
    assert (step.resource, step.host, step.lifecycle) == ("rewrite-b", "cp-1", Lifecycle.ONCE)
    assert step.values == {"ADDRESS": "192.0.2.1", "REWRITE_KEY": "b"}
    assert {("control-plane", name) for name in HOSTS} <= set(step.after)


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        (nodes("a"), []),
        (nodes("identity", "a"), []),
        (nodes("a", "b", rewritten="a"), []),
        (nodes("a", "b", rewritten="b"), [("rewritten",)]),
        (nodes("a", rewritten="gone"), [("rewritten",)]),
        (nodes("a", "b", "a"), [("keys", 2)]),
        (nodes("a", "b", a="same", b="same"), [("keys", 1)]),
    ],
)
def test_what_the_file_alone_shows(config: NodesConfig, paths: list[tuple[str | int, ...]]) -> None:
    assert [problem.path for problem in check(config)] == [("controlPlane", "encryption", *path) for path in paths]


@pytest.mark.parametrize("key", [{"name": "identity", "key": {"secret": "x"}}, {"name": "a"}])
def test_every_key_but_none_has_a_secret(key: dict[str, object]) -> None:
    config = NodesConfig.model_validate({"hosts": HOSTS, "controlPlane": {"encryption": {"keys": [key]}}})
    assert [problem.path for problem in check(config)] == [("controlPlane", "encryption", "keys", 0)]


# --- the transitions, decided by the script on the hosts


class Transitions:
    """A shell that was told the functions, and answers one question per line."""

    def __init__(self) -> None:
        library = FILES / "encryption-check.sh"
        loop = 'while IFS=\'|\' read -r a b c d; do if r=$(encryption_transition "$a" "$b" "$c" "$d"); then echo; '
        self._shell = subprocess.Popen(
            ["bash", "-euc", f'. {library}; {loop} else echo "$r"; fi; done'],  # noqa: S607 - the machine's bash
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def reason(self, old: str, new: str, everywhere: str, rewritten: str) -> str:
        """Return why the keys may not be changed like that; empty where they may."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{old}|{new}|{everywhere}|{rewritten}\n")
        self._shell.stdin.flush()
        return self._shell.stdout.readline().rstrip("\n")

    def close(self) -> None:
        self._shell.communicate(timeout=10)


@pytest.fixture(scope="module")
def transitions() -> Generator[Transitions]:
    asked = Transitions()
    yield asked
    asked.close()


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        # nothing changes, or only what is in reserve
        (("a", "a", "a", ""), ""),
        (("a", "a b", "a", ""), ""),
        (("a b c", "a c b", "a b c", ""), ""),
        (("", "identity a", "identity", ""), ""),
        # a new key in the first place
        (("a", "b a", "a", "a"), "the key b would write before every control-plane host can read it"),
        (("", "a", "", ""), "the key a would write before every control-plane host can read it"),
        (("a b", "b a", "a", ""), "the key b would write before every control-plane host can read it"),
        (("a b", "b a", "a b", ""), ""),
        (("identity a", "a", "identity a", ""), ""),
        # everybody can read what is not encrypted
        (("a", "identity a", "a", "a"), ""),
        # a key taken away
        (("a b", "b", "a b", "b"), "the key a is taken away in the same change that lets b write"),
        (("b a", "b", "b a", ""), "Secrets may still be encrypted with the key a"),
        (("b a", "b", "b a", "a"), "Secrets may still be encrypted with the key a"),
        (("b a", "b", "b a", "b"), ""),
        (("b a", "b c", "b a", "b"), ""),
        (("identity a", "", "identity a", "identity"), ""),
        (("identity a", "", "identity a", ""), "Secrets may still be encrypted with the key a"),
        (("a", "", "a", "a"), "the key a is taken away in the same change that lets identity write"),
        (("a", "a b a", "a", ""), "the key a is listed twice"),
    ],
)
def test_transition(transitions: Transitions, question: tuple[str, str, str, str], reason: str) -> None:
    """The question: keys now, keys wanted, keys everywhere, key of the last rewrite."""
    said = transitions.reason(*question)
    assert said.startswith(reason)
    assert bool(said) == bool(reason)


@dataclass
class Cluster:
    """Three control-plane hosts as far as their keys go, and the keys Secrets were written with."""

    keys: list[str] = field(default_factory=lambda: ["", "", ""])
    written: set[str] = field(default_factory=lambda: {"identity"})
    rewritten: str = ""

    def everywhere(self) -> str:
        lists = [(keys or "identity").split() for keys in self.keys]
        return " ".join(name for name in lists[0] if all(name in others for others in lists))

    def is_readable(self) -> bool:
        return all(self.written <= {*keys.split(), "identity"} for keys in self.keys)

    def write(self) -> None:
        """Have every host write a Secret."""
        self.written |= {(keys or "identity").split()[0] for keys in self.keys}


NAMES = st.sampled_from(
    ["", "a", "b", "identity a", "a identity", "a b", "b a", "identity b", "identity a b", "b a identity"]
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["keys", "keys", "keys", "cut", "rewrite"]), NAMES), min_size=10, max_size=40
)


@settings(max_examples=200, deadline=None)
@given(changes=CHANGES)
def test_no_order_of_changes_makes_a_secret_unreadable(
    transitions: Transitions, changes: list[tuple[str, str]]
) -> None:
    """Hosts are changed one after the other, runs are cut off between them, and every host writes all the while."""
    cluster = Cluster()
    for kind, names in changes:
        if kind == "rewrite":
            firsts = {(keys or "identity").split()[0] for keys in cluster.keys}
            if len(firsts) == 1:
                (cluster.rewritten,) = cluster.written = firsts
            continue
        for host in range(1 if kind == "cut" else 3):
            old = cluster.keys[host]
            if transitions.reason(old, names, cluster.everywhere(), cluster.rewritten):
                break
            if (old or "identity").split()[0] != (names or "identity").split()[0]:
                cluster.rewritten = ""
            cluster.keys[host] = names
            cluster.write()
            assert cluster.is_readable(), (cluster, changes)


def test_the_configuration_tells_its_keys_and_their_secrets() -> None:
    script = f"""
        . {FILES / "encryption-check.sh"}
        file=$(mktemp); trap 'rm -f "$file"' EXIT
        for keys in 'identity - b Qg==' 'b Qg== a QQ==' 'a QQ=='; do
            encryption_configuration $keys >"$file"; encryption_keys_in "$file"
        done
        encryption_keys_in /nowhere
        encryption_same_secrets "$file" a QQ== b Qg== && echo same
        encryption_same_secrets "$file" a Qg== || echo other
        cat "$file"
    """
    done = subprocess.run(["bash", "-uc", script], capture_output=True, text=True, check=True)  # noqa: S607 - the machine's bash
    *facts, first, second, third = done.stdout.partition("apiVersion")[0].splitlines()
    assert facts == ["identity b", "b a", "a"]
    assert (first, third) == ("same", "other")
    assert second == "the key a has another secret on this host; give the new one another name"
    assert done.stdout.endswith(
        "    providers:\n      - secretbox:\n          keys:\n            - name: a\n              secret: QQ==\n"
        "      - identity: {}\n"
    )
