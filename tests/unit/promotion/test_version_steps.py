"""Every kind of step from one version to another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.promotion.pins import Pin, repository_of, tag_of
from labctl.promotion.versions import step_between, version_step
from stacks.promotion import Scheme, Step, versioning_of

CHART, KUBERNETES, GPU_OPERATOR = "charts/jupyterhub", "kubernetes", "charts/gpu-operator"


@pytest.mark.parametrize(
    ("pin", "old", "new", "step"),
    [
        (CHART, "4.4.0", "4.4.0", Step.SAME_VERSION),
        (CHART, "4.4.0", "4.4.1", Step.PATCH),
        (CHART, "4.4.9", "4.4.10", Step.PATCH),
        (CHART, "4.4.0", "4.10.0", Step.MINOR),
        (CHART, "4.4.0", "5.0.0", Step.MAJOR),
        (CHART, "4.4.0", "4.3.9", Step.DOWN),
        (CHART, "4.4.0", "v4.4.0", Step.SAME_VERSION),
        (CHART, "4.4", "4.4.0", Step.SAME_VERSION),
        (CHART, "4.4.0", "4.5.0-0.dev.git.7048.hb1f27e91", Step.PRERELEASE),
        (CHART, "4.5.0-beta.1", "4.5.0", Step.PATCH),
        (CHART, "4.5.0-beta.2", "4.5.0-beta.10", Step.PRERELEASE),
        (CHART, "4.5.0", "4.5.0-beta.1", Step.DOWN),
        (CHART, "4.4.0+build.1", "4.4.1+build.7", Step.PATCH),
        ("charts/metallb", "0.16.1", "0.16.2", Step.PATCH),
        ("charts/metallb", "0.16.1", "0.17.0", Step.MAJOR),
        ("charts/metallb", "0.16.1", "1.0.0", Step.MAJOR),
        (KUBERNETES, "v1.36.1", "v1.36.3", Step.PATCH),
        (KUBERNETES, "v1.36.3", "v1.37.0", Step.MINOR),
        (KUBERNETES, "v1.36.3", "v1.38.0", Step.SKIP),
        (KUBERNETES, "v1.36.3", "v1.36.1", Step.DOWN),
        (KUBERNETES, "v1.36.3", "v1.37.0-rc.1", Step.PRERELEASE),
        (GPU_OPERATOR, "v26.7.0", "v26.7.2", Step.PATCH),
        (GPU_OPERATOR, "v26.7.0", "v26.10.0", Step.MAJOR),
        (GPU_OPERATOR, "v26.7.0", "v27.1.0", Step.MAJOR),
        (GPU_OPERATOR, "v26.7.0", "v26.3.1", Step.DOWN),
        ("images/notebook", "2026-02-23", "2026-03-23", Step.MINOR),
        ("images/notebook", "2026-03-23", "2026-02-23", Step.DOWN),
        ("images/notebook", "cuda12-2025-06-02", "cuda12-2026-06-02", Step.MINOR),
        ("images/notebook", "cuda12-2025-06-02", "cuda13-2026-06-02", Step.MAJOR),
        ("images/notebook", "python-3.12.1", "python-3.12.2", Step.PATCH),
        ("images/notebook", "python-3.12.1", "r-4.5.1", Step.MAJOR),
        ("images/notebook", "1.27.1-alpine", "1.27.2-alpine", Step.PATCH),
        ("images/notebook", "2026-02-23", "1.2.3", Step.UNCLEAR),
        ("images/notebook", "noble", "resolute", Step.UNCLEAR),
    ],
)
def test_step(pin: str, old: str, new: str, step: Step) -> None:
    assert version_step(old, new, versioning_of(pin)) is step


NUMBERS = st.tuples(*(st.integers(0, 40) for _ in range(3)))


@given(NUMBERS, NUMBERS)
def test_one_of_two_ways_is_down_unless_they_are_the_same(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    texts = [".".join(map(str, numbers)) for numbers in (one, other)]
    for pin in (CHART, KUBERNETES, GPU_OPERATOR):
        steps = [version_step(old, new, versioning_of(pin)) for old, new in (texts, texts[::-1])]
        assert (steps == [Step.SAME_VERSION] * 2) if one == other else (steps.count(Step.DOWN) == 1), (pin, steps)


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_text_is_too_strange_for_a_step(one: str, other: str) -> None:
    assert version_step(one, other, versioning_of(CHART)) in Step


def test_another_repository_is_another_image() -> None:
    pins = [
        Pin(path="images/a", version="1.0.0", data={"image": f"registry.example.org/{name}:1.0.0@sha256:{'a' * 64}"})
        for name in ("one", "two")
    ]
    assert step_between(pins[0], pins[1], versioning_of("images/a")) is Step.UNCLEAR
    assert step_between(None, pins[1], versioning_of("images/a")) is Step.NEW


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        ("registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause", "3.10.2"),
        ("localhost:5000/lab/hub:1.0@sha256:ab", "localhost:5000/lab/hub", "1.0"),
        ("localhost:5000/lab/hub@sha256:ab", "localhost:5000/lab/hub", "sha256:ab"),
    ],
)
def test_parts_of_an_image(image: str, repository: str, tag: str) -> None:
    assert (repository_of(image), tag_of(image)) == (repository, tag)


def test_calendar_versions_are_the_gpu_operators_alone() -> None:
    assert versioning_of(GPU_OPERATOR).scheme is Scheme.CALENDAR
    assert versioning_of(CHART).scheme is Scheme.SEMANTIC
