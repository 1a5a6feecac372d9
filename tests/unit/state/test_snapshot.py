"""What makes a snapshot consistent, and how one is made so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from labctl.engine.state import ResourceState, SnapshotIntegrityError, verify
from labctl.engine.state.snapshot import settle

if TYPE_CHECKING:
    from labctl.graph.values import Plain

ROOT = ResourceState(urn="urn:root", type="pulumi:pulumi:Stack", custom=False)
PROVIDER = ResourceState(urn="urn:provider", type="pulumi:providers:x", custom=True, id="p")


def resource(name: str, *dependencies: str) -> ResourceState:
    return ResourceState(
        urn=name,
        type="x:y:Z",
        custom=True,
        id=f"{name}-id",
        parent="urn:root",
        provider="urn:provider::p",
        dependencies=dependencies,
        property_dependencies={"in": dependencies},
    )


A, B = resource("a"), resource("b", "a")
OLD_A = replace(A, id="old", delete=True)


@pytest.mark.parametrize(
    "resources",
    [
        [ROOT, PROVIDER, A, B],
        [PROVIDER, ROOT, OLD_A, A, B],
        [ROOT, PROVIDER, A, B, OLD_A, OLD_A],
        [ROOT, replace(A, provider="", pending_replacement=True)],
        [ROOT, replace(A, pending_replacement=True)],
    ],
)
def test_consistent(resources: list[ResourceState]) -> None:
    verify(resources)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ([PROVIDER, A], "its parent urn:root does not exist"),
        ([PROVIDER, A, ROOT], "its parent urn:root comes after it"),
        ([ROOT, PROVIDER, B, A], "its dependency a comes after it"),
        ([ROOT, PROVIDER, B], "its dependency a does not exist"),
        (
            [ROOT, PROVIDER, replace(resource("c"), property_dependencies={"k": ("a",)})],
            "its dependency of k a does not exist",
        ),
        ([ROOT, PROVIDER, replace(resource("c"), extra={"deletedWith": "a"})], "its deletedWith a does not exist"),
        ([ROOT, PROVIDER, replace(resource("c"), extra={"replaceWith": ["a"]})], "its replaceWith a does not exist"),
        ([ROOT, A], "its provider urn:provider::p is not among the earlier resources"),
        ([ROOT, replace(PROVIDER, id="q"), A], "its provider urn:provider::p is not"),
        ([ROOT, PROVIDER, A, A], "exists twice"),
    ],
)
def test_inconsistent(resources: list[ResourceState], message: str) -> None:
    with pytest.raises(SnapshotIntegrityError, match=message):
        verify(resources)


def test_settle_leaves_a_good_order_alone() -> None:
    resources = (ROOT, PROVIDER, A, B, OLD_A)
    assert settle(resources) == resources


def test_settle_moves_behind_what_is_needed_and_no_further() -> None:
    c = resource("c")
    assert settle([c, B, A, PROVIDER, ROOT]) == (ROOT, PROVIDER, c, A, B)


def test_settle_drops_references_to_what_is_gone() -> None:
    extra: dict[str, Plain] = {"deletedWith": "gone", "replaceWith": ["gone", "a"], "k": 1}
    c = replace(resource("c", "gone", "a"), parent="gone", extra=extra)
    settled = settle([ROOT, PROVIDER, A, c])
    verify(settled)
    assert settled[-1].dependencies == ("a",)
    assert settled[-1].parent == ""
    assert settled[-1].extra == {"replaceWith": ["a"], "k": 1}
