"""Which pods' GPUs did nothing, asked of a Prometheus that collects what NVIDIA's dcgm-exporter measures.

One query says three things of each pod: how active its most active GPU was within the window, how many GPUs are
measured, and in how much of the window each of them was. Only a pod of which all is known is called idle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Activity", "GpuSettings", "UnusableAnswerError", "activity_query", "ask_prometheus", "read_answer", "steps"]

STEPS = 30
"""Points of the window at which every GPU must have been measured; Prometheus looks back 5 minutes from each
(``--query.lookback-delta``), less where it noticed that the exporter was gone (its staleness markers)."""
OLDEST_SECONDS = 180
"""Age of the newest measurement beyond which nothing is concluded. dcgm-exporter measures every 30 s, and Prometheus
collects each minute or more often."""
TIMEOUT_SECONDS = 30
"""How long Prometheus may take; its own limit is 2 minutes (``--query.timeout``)."""

_POD = "namespace, pod, exported_namespace, exported_pod"
"""Labels of the pod that holds a GPU. Where Prometheus keeps its own labels (``honor_labels: false``, its default) the
exporter's get the prefix, and ``pod`` is the exporter's own."""
_GPU = "UUID, GPU_I_ID"
"""Labels of one GPU or MIG instance in dcgm-exporter, the same whichever exporter measures it."""


class GpuSettings(TypedDict):
    """What the stack file decides of idle GPUs."""

    prometheus: str
    """Address, without a slash at its end."""
    idleSeconds: int
    """Window in which nothing may have happened."""
    thresholdPercent: float


class UnusableAnswerError(Exception):
    """What Prometheus answered is no answer to the query."""

    def __init__(self, answer: str) -> None:
        super().__init__(f"Prometheus answered with something else than a vector: {answer[:300]!r}")


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What is known of a pod's GPUs within the window."""

    peak: float | None = None
    """Activity of its most active GPU, percent."""
    gpus: int = 0
    """GPUs or MIG instances that are measured now."""
    points: int = 0
    """Points of the window at which each of them was measured: the worst counts."""
    age: float | None = None
    """Seconds since the oldest of their newest measurements."""

    def is_below(self, percent: float) -> bool:
        """Return whether none of its GPUs was as active as that."""
        return self.peak is not None and self.peak < percent

    def doubt(self, *, gpus: int, window_seconds: int) -> str | None:
        """Return why nothing can be concluded from it of a server with so many GPUs, None where it can."""
        if self.peak is None or self.age is None:
            return "nothing was measured"
        if self.gpus < gpus:
            return f"{self.gpus} of {gpus} GPUs are measured"
        if self.age > OLDEST_SECONDS:
            return f"the newest measurement is {self.age:.0f} s old"
        if self.points < steps(window_seconds):
            return f"only {self.points} of {steps(window_seconds)} points of the window are measured"
        return None


def steps(window_seconds: int) -> int:
    """Return at how many points of a window GPUs must have been measured."""
    return window_seconds // _step(window_seconds)


def activity_query(window_seconds: int) -> str:
    """Return the PromQL query; its vectors carry ``what``: peak, gpus, points or age.

    ``DCGM_FI_DEV_GPU_UTIL`` (percent) says nothing of MIG instances, whose only measure is
    ``DCGM_FI_PROF_GR_ENGINE_ACTIVE`` (a share of one); the latter is missing on GPUs that cannot be profiled.
    """
    window, step = f"{window_seconds}s", f"{_step(window_seconds)}s"
    sources = {
        "util": ('DCGM_FI_DEV_GPU_UTIL{GPU_I_ID=""}', ""),
        "engine": ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "100 * "),
    }

    def every(expression: str) -> str:
        """Return both measures side by side; a label keeps them apart once their names are gone."""
        terms = (
            f'label_replace({expression.format(metric=metric, scale=scale)}, "source", "{source}", "", "")'
            for source, (metric, scale) in sources.items()
        )
        return " or ".join(terms)

    vectors = {
        "peak": f"max by ({_POD}) ({every('{scale}max_over_time({metric}[' + window + '])')})",
        "gpus": f"count by ({_POD}) (count by ({_POD}, {_GPU}) ({every('{scale}{metric}')}))",
        "points": f"min by ({_POD}) ({every('count_over_time({metric}[' + window + ':' + step + '])')})",
        "age": f"max by ({_POD}) ({every('(time() - timestamp({metric}))')})",
    }
    return " or ".join(f'label_replace({vector}, "what", "{what}", "", "")' for what, vector in vectors.items())


async def ask_prometheus(settings: GpuSettings) -> Mapping[tuple[str, str], Activity]:
    """Return what is known of each pod's GPUs, by namespace and name.

    Raises
    ------
    tornado.httpclient.HTTPError, OSError
        If Prometheus does not answer, or refuses.
    UnusableAnswerError
        If it answers something else.
    """
    query = activity_query(settings["idleSeconds"])
    response = await AsyncHTTPClient().fetch(
        f"{settings['prometheus']}/api/v1/query",
        method="POST",
        body=urlencode({"query": query}),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        request_timeout=TIMEOUT_SECONDS,
        connect_timeout=TIMEOUT_SECONDS,
    )
    return read_answer(response.body.decode("utf-8", errors="replace"))


def read_answer(text: str) -> Mapping[tuple[str, str], Activity]:
    """Return the same out of Prometheus' answer.

    Raises
    ------
    UnusableAnswerError
        If it is no vector.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    try:
        for labels, value in _samples(text):
            pod = labels.get("exported_pod") or labels.get("pod")
            namespace = labels.get("exported_namespace") or labels.get("namespace")
            if pod and namespace:
                what = labels["what"]
                known = found.setdefault((namespace, pod), {})
                # A pod whose GPUs several exporters report appears several times: what speaks against idleness counts.
                worst = min if what == "points" else max
                known[what] = worst(known.get(what, value), value)
    except (KeyError, TypeError, ValueError) as problem:
        raise UnusableAnswerError(text) from problem
    return {pod: _activity(known) for pod, known in found.items()}


def _samples(text: str) -> Iterator[tuple[Mapping[str, str], float]]:
    answer = cast("Mapping[str, Mapping[str, object]]", json.loads(text))
    if str(answer["status"]) != "success" or answer["data"]["resultType"] != "vector":
        raise UnusableAnswerError(text)
    if answer.get("warnings"):
        # What was computed in part only (Prometheus' HTTP API, "format overview").
        raise UnusableAnswerError(text)
    for sample in cast("Sequence[Mapping[str, object]]", answer["data"]["result"]):
        _, value = cast("Sequence[str]", sample["value"])
        yield cast("Mapping[str, str]", sample["metric"]), float(value)


def _activity(known: Mapping[str, float]) -> Activity:
    return Activity(
        peak=known.get("peak"),
        gpus=int(known.get("gpus", 0)),
        points=int(known.get("points", 0)),
        age=known.get("age"),
    )


def _step(window_seconds: int) -> int:
    return max(1, window_seconds // STEPS)
