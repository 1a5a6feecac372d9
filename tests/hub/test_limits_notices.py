"""Warnings before a server is ended, as a person sees them: a real JupyterLab in a real browser."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from re import Pattern
from zoneinfo import ZoneInfo

import pytest
from debian_programs import CHROMIUM, needs, path_of
from lab_sections import hub_section
from notices_bed import LabBed, project
from playwright.sync_api import Locator, Page, expect, sync_playwright

from components.gpu.reslice.record import EVICTION_ANNOTATION
from components.hub.config import HubConfig
from components.hub.files.lab_hub.limits import GPU_IDLE_ANNOTATION, WALLTIME_ANNOTATION
from components.hub.limits.component import notice_files
from components.hub.limits.plan import EXTENSION
from labctl.local_hub.programs import obtain_programs

pytestmark = needs(CHROMIUM)

CONFIG = HubConfig.model_validate(hub_section(culling={"warnings": ["30m", "5m"]}))
ZONE = "America/St_Johns"
"""The reader's zone: half an hour off, so that no other zone's time looks like it."""
SEEN_MS = 30_000
"""For a page or a notice to appear; the test's files say that they are read every second."""
POLL_MS = 1_000
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "walltime-warning.png"
OURS = re.compile("server", re.IGNORECASE)
"""What every notice of the extension says."""


@dataclass
class Server:
    """A user's server, and the annotations of its pod."""

    bed: LabBed
    page: Page
    volume: Path

    def annotate(self, **annotations: str) -> None:
        """Have the pod's annotations be these, as the kubelet tells the container."""
        names = {"walltime": WALLTIME_ANNOTATION, "eviction": EVICTION_ANNOTATION, "idle": GPU_IDLE_ANNOTATION}
        files = dict(notice_files(CONFIG))
        files["settings.json"] = json.dumps({**json.loads(files["settings.json"]), "pollSeconds": POLL_MS / 1000})
        project(CONFIG, self.volume, files, {names[name]: text for name, text in annotations.items()})

    def open(self) -> None:
        """Open JupyterLab and wait until it has started."""
        self.page.goto(f"{self.bed.address}?reset")
        expect(self.page.locator("#jp-main-dock-panel")).to_be_visible(timeout=SEEN_MS)

    def toasts(self, text: str | Pattern[str]) -> Locator:
        """Return the notices on the screen that have a text; JupyterLab may show some of its own."""
        return self.page.locator(".Toastify__toast", has_text=text)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """A running JupyterLab and a page in a browser."""
    folder = tmp_path_factory.mktemp("notices")
    volume = folder / "volume"
    project(CONFIG, volume, notice_files(CONFIG), {})
    bed = LabBed(obtain_programs().python, CONFIG, folder / "home", volume)
    with bed, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(path_of(CHROMIUM)), args=["--no-sandbox"])
        page = browser.new_page(timezone_id=ZONE, locale="en-GB")
        yield Server(bed, page, volume)
        browser.close()


def after(**time: float) -> datetime:
    """Return the point of time that long from now, without fractions of a second."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**time)


def stamp(time: datetime) -> str:
    """Return a time as annotations have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_jupyterlab_lists_the_extension_as_enabled_and_whole(server: Server) -> None:
    listed = subprocess.run(
        [str(obtain_programs().python), "-m", "jupyter", "labextension", "list"],
        env=dict(server.bed.environment),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = listed.stdout + listed.stderr
    assert re.search(rf"{EXTENSION} v\S+ .*enabled.*OK", said), said


def test_the_warning_appears_in_the_readers_own_time_and_counts_on(
    server: Server, request: pytest.FixtureRequest
) -> None:
    ends = after(minutes=20)
    server.annotate(walltime=stamp(ends))
    server.open()
    warning = server.toasts("Save your work")
    expect(warning).to_have_count(1, timeout=SEEN_MS)
    expect(warning).to_contain_text(ends.astimezone(ZoneInfo(ZONE)).strftime("%H:%M"))
    expect(warning).to_contain_text(re.compile(r"in (19|20) minutes"))
    if request.config.getoption("--update-screenshots"):
        # JupyterLab asks whether it may show news; nobody at the lab asked for that.
        for other in server.page.locator(".Toastify__toast", has_not_text=OURS).all():
            other.locator("button[title='Hide notification']").click()
        server.page.wait_for_timeout(POLL_MS)
        server.page.screenshot(path=PICTURE)
    # Still one, and the same one, after its end has come nearer: the 5 minutes' warning replaces it.
    server.annotate(walltime=stamp(after(minutes=4)))
    expect(server.toasts(re.compile(r"in [34] minutes"))).to_have_count(1, timeout=SEEN_MS)
    expect(warning).to_have_count(1)


def test_nothing_is_said_before_the_first_warning_is_due(server: Server) -> None:
    server.annotate(walltime=stamp(after(hours=5)))
    server.open()
    server.page.wait_for_timeout(4 * POLL_MS)
    expect(server.toasts(OURS)).to_have_count(0)


def test_nothing_is_said_where_nothing_ends(server: Server) -> None:
    problems: list[str] = []
    server.page.on("console", lambda message: problems.append(message.text) if message.type == "warning" else None)
    server.annotate()
    server.open()
    server.page.wait_for_timeout(4 * POLL_MS)
    expect(server.toasts(OURS)).to_have_count(0)
    assert not [problem for problem in problems if EXTENSION in problem]


def test_a_closed_warning_stays_closed_until_the_next_is_due(server: Server) -> None:
    server.annotate(walltime=stamp(after(minutes=20)))
    server.open()
    warning = server.toasts("Save your work")
    expect(warning).to_have_count(1, timeout=SEEN_MS)
    warning.locator("button[title='Hide notification']").click()
    expect(warning).to_have_count(0)
    server.page.wait_for_timeout(4 * POLL_MS)
    expect(warning).to_have_count(0)


def test_a_gpu_change_is_announced_and_taken_back(server: Server) -> None:
    server.annotate(eviction=stamp(after(minutes=10)), walltime=stamp(after(hours=5)))
    server.open()
    eviction = server.toasts("GPUs of this machine are being changed")
    expect(eviction).to_have_count(1, timeout=SEEN_MS)
    server.annotate(walltime=stamp(after(hours=5)))
    expect(eviction).to_have_count(0, timeout=SEEN_MS)


def test_a_server_with_a_gpu_says_once_that_idle_gpus_end_it(server: Server) -> None:
    server.annotate(idle="1800")
    server.open()
    told = server.toasts("GPUs have done nothing for 30 minutes")
    expect(told).to_have_count(1, timeout=SEEN_MS)
    server.open()
    server.page.wait_for_timeout(4 * POLL_MS)
    expect(told).to_have_count(0)
