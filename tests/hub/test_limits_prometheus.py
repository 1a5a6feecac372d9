"""Idle GPUs: the query under promtool, and the service with a real hub and a real Prometheus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from debian_programs import PROMETHEUS, needs, path_of
from lab_sections import GPU, MINIMAL, RESOURCES, hub_section, profiles
from limits_bed import NAMESPACE, GpuSample, LimitsBed, MetricsPage, PrometheusBed, eventually, serving

from components.hub.config import HubConfig
from components.hub.files.lab_hub.activity import activity_query

pytestmark = needs(PROMETHEUS)

WINDOW = 12
"""Seconds a GPU may do nothing in these tests; the checks would refuse it."""
LONGER = WINDOW + 8
"""Seconds after which whatever is ended at all has been."""
PAIR = "gpu-pair"


def lab(prometheus: str) -> HubConfig:
    """Return a section that ends servers with idle GPUs."""
    culling = {"gpu": {"idle": f"{WINDOW}s", "prometheus": {"address": prometheus, "networks": ["192.0.2.0/24"]}}}
    pair = {"slug": PAIR, "name": "Pair", "image": "gpu", "resources": RESOURCES, "gpu": {"slice": "whole", "count": 2}}
    return HubConfig.model_validate(hub_section(culling=culling, profiles=profiles(pair)))


class GpuLab:
    """A hub, its service, Prometheus and an exporter."""

    def __init__(self, folder: Path, stack: ExitStack, *, honor_labels: bool) -> None:
        self.page = MetricsPage()
        exporter = stack.enter_context(serving(self.page.text))
        self.prometheus = PrometheusBed(folder / "prometheus", exporter.port, honor_labels=honor_labels)
        self.prometheus.__enter__()
        stack.callback(self.prometheus.__exit__)
        self.hub = stack.enter_context(LimitsBed(folder / "hub", lab(self.prometheus.address)))

    def measure(self, *samples: GpuSample) -> None:
        """Have the exporter tell of these from now on."""
        self.page.samples = list(samples)

    def lasts(self, seconds: float, expected: set[str]) -> None:
        """Hold that these servers and no others run all that time."""
        eventually_not = [False]

        def differs() -> bool:
            eventually_not[0] = self.hub.servers() != expected
            return eventually_not[0]

        with pytest.raises(AssertionError, match="it lasted"):
            eventually(differs, seconds, lambda: "it lasted")


@pytest.fixture(params=[False, True], ids=["prefixed-labels", "honored-labels"])
def gpu_lab(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[GpuLab]:
    """A lab whose Prometheus keeps its own labels, and one whose Prometheus keeps the exporter's."""
    with ExitStack() as stack:
        yield GpuLab(tmp_path, stack, honor_labels=request.param)


@pytest.fixture
def plain_lab(tmp_path: Path) -> Generator[GpuLab]:
    """A lab whose Prometheus keeps its own labels, as it does unless told otherwise."""
    with ExitStack() as stack:
        yield GpuLab(tmp_path, stack, honor_labels=False)


def sample(user: str, uuid: str, activity: float, mig: str | None = "1g.10gb") -> GpuSample:
    """Return what is measured of a user's GPU."""
    return GpuSample(pod=f"jupyter-{user}", uuid=uuid, activity=activity, mig=mig)


def test_an_idle_server_dies_and_every_other_lives(gpu_lab: GpuLab) -> None:
    hub = gpu_lab.hub
    gpu_lab.measure(
        sample("idle", "GPU-1", 0),
        sample("nearly", "GPU-2", 4.9),
        sample("busy", "GPU-3", 90),
        sample("whole", "GPU-4", 0, None),
        sample("pair", "GPU-5", 0, None),
        sample("pair", "GPU-6", 70, None),
        sample("half", "GPU-7", 0, None),
        # Somebody else's pod of the same name in another namespace, and one of a server without a GPU.
        GpuSample(pod="jupyter-unmeasured", uuid="GPU-8", activity=0, mig="1g.10gb", namespace="elsewhere"),
        sample("cpu", "GPU-9", 0),
    )
    for user in ("idle", "nearly", "busy", "whole", "unmeasured"):
        assert hub.start_server(user, GPU)[0] == 201
    for user in ("pair", "half"):
        assert hub.start_server(user, PAIR)[0] == 201
    hub.start_server("cpu", MINIMAL)
    lives = {"busy/", "pair/", "half/", "unmeasured/", "cpu/"}
    eventually(lambda: hub.servers() == lives, LONGER + 10, lambda: f"{hub.servers()}\n{hub.log[-3000:]}")
    gpu_lab.lasts(LONGER, lives)
    assert f"idle/ was ended: its GPUs were idle for {WINDOW} s" in hub.log
    for pod in ("idle", "nearly", "whole"):
        assert hub.log.count(f"BED stopped jupyter-{pod}") == 1
    assert hub.log.count("unmeasured/ stays: of its GPUs nothing was measured") == 1
    assert "half/ stays: of its GPUs 1 of 2 GPUs are measured" in hub.log
    # What was busy and has done nothing since for long enough is ended, too.
    gpu_lab.measure(sample("busy", "GPU-3", 0))
    eventually(lambda: "busy/" not in hub.servers(), LONGER + 10, lambda: hub.log[-3000:])


def test_nobody_dies_while_prometheus_is_away_and_the_idle_one_does_afterwards(plain_lab: GpuLab) -> None:
    hub = plain_lab.hub
    plain_lab.measure(sample("idle", "GPU-1", 0))
    plain_lab.prometheus.__exit__()
    hub.start_server("idle", GPU)
    plain_lab.lasts(LONGER, {"idle/"})
    assert "no server is ended for idle GPUs" in hub.log
    plain_lab.prometheus.__enter__()
    # Nor at once: it has to have been seen idle for the whole time.
    plain_lab.lasts(WINDOW - 5, {"idle/"})
    eventually(lambda: not hub.servers(), LONGER + 10, lambda: hub.log[-3000:])


def test_nobody_dies_when_the_measurements_stop_or_had_a_gap(plain_lab: GpuLab) -> None:
    hub = plain_lab.hub
    plain_lab.measure(sample("idle", "GPU-1", 0))
    hub.start_server("idle", GPU)
    plain_lab.lasts(WINDOW - 6, {"idle/"})
    plain_lab.page.samples = None
    plain_lab.lasts(LONGER, {"idle/"})
    plain_lab.measure(sample("idle", "GPU-1", 0))
    plain_lab.lasts(WINDOW - 5, {"idle/"})
    eventually(lambda: not hub.servers(), LONGER + 10, lambda: hub.log[-3000:])


HALF_HOUR = 1800
END = "60m30s"
"""When the query is asked: between two points, so that the window has 30 of them."""
SERIES = {
    "idle for all of it": ("0x60", {"peak": 0, "gpus": 1, "points": 30, "age": 30}),
    "busy once": ("0x39 0.7 0x19", {"peak": 70, "gpus": 1, "points": 30, "age": 30}),
    "busy before": ("0.7x29 0x30", {"peak": 0, "gpus": 1, "points": 30, "age": 30}),
    # Without a value for 10 minutes: the last one is looked back at for 5, and 5 points stay bare.
    "a gap": ("0x35 _x10 0x14", {"peak": 0, "gpus": 1, "points": 25, "age": 30}),
    # Not collected again: for 5 minutes Prometheus goes on showing the last value.
    "old": ("0x57", {"peak": 0, "gpus": 1, "points": 30, "age": 210}),
    # The exporter was gone, and Prometheus noticed.
    "stale": ("0x55 stale", {"peak": 0, "points": 25}),
    "new": ("_x45 0x15", {"peak": 0, "gpus": 1, "points": 16, "age": 30}),
}


@pytest.mark.parametrize("case", SERIES, ids=str)
def test_the_query_says_what_it_should_of_half_an_hour(case: str, tmp_path: Path) -> None:
    values, expected = SERIES[case]
    labels = f'UUID="GPU-1",GPU_I_ID="7",GPU_I_PROFILE="1g.10gb",namespace="{NAMESPACE}",pod="jupyter-ana"'
    samples = [
        {"labels": f'{{namespace="{NAMESPACE}", pod="jupyter-ana", what="{what}"}}', "value": value}
        for what, value in expected.items()
    ]
    tests = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{labels}}}", "values": values}],
                "promql_expr_test": [
                    {"expr": activity_query(HALF_HOUR), "eval_time": END, "exp_samples": samples},
                ],
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(json.dumps(tests), encoding="utf-8")
    promtool = path_of(PROMETHEUS).with_name("promtool")
    ran = subprocess.run(
        [str(promtool), "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
