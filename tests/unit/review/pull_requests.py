"""The pull requests whose comments are pinned: what each does to the project's files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9nVZ6XK0e2vG7m1rT8yqQH5cB4uWfLxk3dAo0PzSsE"


@dataclass(frozen=True)
class PullRequest:
    """One change, and the stacks that are looked at."""

    name: str
    edit: Callable[[Path], None]
    stacks: tuple[str, ...] = ("test",)
    description: str = ""


def substituted(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return an edit that puts `new` in place of the first `old` in the file `name`, which has it."""

    def edit(folder: Path) -> None:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r} any more"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def all_of(*edits: Callable[[Path], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        for each in edits:
            each(folder)

    return edit


def section(text: str, key: str) -> str:
    """Return the lines of `key` and of everything below it."""
    match = re.search(rf"^(?P<indent> *){re.escape(key)}:.*\n(?:(?P=indent) .*\n|\n)*", text, re.MULTILINE)
    assert match is not None, f"there is no {key} any more"
    return match[0]


def without(stack: str, *keys: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / f"Pulumi.{stack}.yaml"
        text = path.read_text(encoding="utf-8")
        for key in keys:
            text = text.replace(section(text, key), "", 1)
        path.write_text(text, encoding="utf-8")

    return edit


def one_more_worker(folder: Path) -> None:
    path = folder / "Pulumi.test.yaml"
    text = path.read_text(encoding="utf-8")
    worker = section(text, "worker-1")
    other = re.sub(r"ssh-ed25519 \S+", HOST_KEY, worker.replace("worker-1", "worker-2").replace(".31", ".32"))
    path.write_text(text.replace(worker, worker + other), encoding="utf-8")


def hosts_in_another_order(folder: Path) -> None:
    path = folder / "Pulumi.test.yaml"
    text = path.read_text(encoding="utf-8")
    hosts = section(text, "hosts")
    keys = re.findall(r"^ {8}([\w-]+):$", hosts, re.MULTILINE)
    assert len(keys) > 4
    turned = hosts.split("\n", 1)[0] + "\n" + "".join(section(hosts, key) for key in reversed(keys))
    assert sorted(turned.splitlines()) == sorted(hosts.splitlines())
    path.write_text(text.replace(hosts, turned), encoding="utf-8")


def renamed_stack(folder: Path) -> None:
    (folder / "Pulumi.test.yaml").rename(folder / "Pulumi.test-lund.yaml")


def an_exception_less(folder: Path) -> None:
    path = folder / "policies" / "exceptions.yaml"
    entry = re.compile(r"  - rule: pod-security\n    resource: \S+::gpu-namespace\n    reason: .*\n")
    text, found = entry.subn("", path.read_text(encoding="utf-8"))
    assert found == 1, "policies/exceptions.yaml has another shape"
    path.write_text(text, encoding="utf-8")


def nothing_that_counts(folder: Path) -> None:
    for name in ("Pulumi.test.yaml", "stacks/pins/test.yaml", "components/nodes/plan.py"):
        path = folder / name
        path.write_text(path.read_text(encoding="utf-8") + "\n# One more comment.\n", encoding="utf-8")


PULL_REQUESTS = (
    PullRequest("add-a-node", one_more_worker),
    PullRequest("remove-a-node", without("test", "worker-1")),
    PullRequest("change-a-slice-layout", substituted("Pulumi.test.yaml", "{1g.10gb: 1,", "{1g.10gb: 2,")),
    PullRequest(
        "bump-a-chart", substituted("stacks/pins/test.yaml", "version: 0.16.1", "version: 0.16.9"), ("test", "prod")
    ),
    PullRequest("rename-a-volume", substituted("Pulumi.test.yaml", "name: notebooks, path", "name: lectures, path")),
    PullRequest(
        "rename-a-volume-named",
        substituted("Pulumi.test.yaml", "name: notebooks, path", "name: lectures, path"),
        description="Lectures now; the old folder has nothing.\n\n- allow-destroy test: *::hub-notebooks-*\n",
    ),
    PullRequest("drop-the-hub", without("test", "hub")),
    PullRequest("reorder-hosts", hosts_in_another_order),
    PullRequest("no-change", nothing_that_counts, ("test", "dev")),
    PullRequest(
        "change-a-script",
        substituted(
            "components/nodes/files/system.sh", "    want_hostname\n", "    want_hostname\n    note 'names first'\n"
        ),
    ),
    PullRequest(
        "bump-an-image",
        substituted(
            "stacks/pins/test.yaml",
            "datascience-notebook:2025-06-02@sha256:2014f3b9",
            "datascience-notebook:2025-09-01@sha256:2014f3ba",
        ),
    ),
    PullRequest(
        "break-a-stack-file", substituted("Pulumi.test.yaml", "memory: 512Gi", "memory: 512 gigabytes"), ("test", "dev")
    ),
    PullRequest("rename-a-stack", renamed_stack, ("test", "test-lund")),
    PullRequest("break-a-policy", an_exception_less),
    PullRequest(
        "another-secret",
        substituted("Pulumi.test.yaml", "{secret: githubClientSecret}", "{secret: githubClientSecret2}"),
    ),
)
