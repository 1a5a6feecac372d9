"""People walk through the hub in a real browser: on a lab that is up, in servers that really run.

The pictures are those of docs/tour.md; ``--update-screenshots`` writes them anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from browser import Browsers, Person, Pictures
from debian_programs import CHROMIUM, needs
from playwright.sync_api import expect
from tour_lab import DATASET, TourLab, make_tour_lab

pytestmark = needs(CHROMIUM)

NAMESPACE = "hub-dev"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[TourLab]:
    lab = make_tour_lab(tmp_path_factory.mktemp("tour") / "lab")
    yield lab
    lab.well("down", "--wipe")


@pytest.fixture(scope="module")
def browsers(lab: TourLab) -> Generator[Browsers]:
    with Browsers(lab.url) as browsers:
        yield browsers


@pytest.fixture(scope="module")
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, root: Path) -> Pictures:
    is_wanted = bool(request.config.getoption("--update-screenshots"))
    return Pictures(root / "docs" / "images" if is_wanted else tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def come(browsers: Browsers, lab: TourLab) -> Generator[Callable[[str], Person]]:
    """Let somebody come and sign in; servers that are left over are stopped after the test."""
    with ExitStack() as stack:

        def sign_in(name: str) -> Person:
            person = browsers.person(name)
            stack.callback(person.leave)
            stack.callback(person.give_up)
            person.sign_in("any")
            return person

        yield sign_in
    await_no_pods(lab)


def pods(lab: TourLab) -> dict[str, str]:
    """Return the users' servers in the cluster: phase by user."""
    found = lab.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=component%3Dsingleuser-server")["items"]
    return {pod["metadata"]["annotations"]["hub.jupyter.org/username"]: pod["status"]["phase"] for pod in found}


def await_no_pods(lab: TourLab) -> None:
    deadline = time.monotonic() + 60
    while left := pods(lab):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_the_first_page_is_the_sign_in(browsers: Browsers, pictures: Pictures) -> None:
    ada = browsers.person("ada")
    ada.open_hub()
    expect(ada.page.locator("#username_input")).to_be_visible()
    expect(ada.page.get_by_text("Maintenance on Monday from 8 to 10: save your work.")).to_be_visible()
    ada.page.locator("#username_input").fill("ada")
    pictures.take(ada.page, "sign-in", height=470)
    assert ada.links_elsewhere() == []
    ada.leave()


@pytest.mark.parametrize(
    ("name", "profiles"),
    [
        ("ada", ["Minimal", "GPU, 10 GB", "GPU, 40 GB", "GPU, 80 GB"]),
        ("ben", ["Minimal", "GPU, 10 GB"]),
        ("zoe", ["Minimal"]),
    ],
    ids=["vision", "students", "no group"],
)
def test_everybody_sees_the_profiles_of_their_groups(
    come: Callable[[str], Person], name: str, profiles: list[str]
) -> None:
    person = come(name)
    person.choose_server()
    assert person.profiles() == profiles
    assert person.links_elsewhere() == []
    assert person.problems == []


def test_a_day_with_a_gpu(come: Callable[[str], Person], lab: TourLab, pictures: Pictures) -> None:
    """From the profiles to a notebook that reads a shared file, the warning before the end, and the end."""
    ada = come("ada")
    ada.choose_server()
    ada.choose("gpu-small")
    pictures.take(ada.page, "profiles")
    ada.start()
    expect(ada.page.locator("#progress-message")).not_to_be_empty()
    pictures.take(ada.page, "starting", height=460)
    ada.arrive()
    assert pods(lab) == {"ada": "Running"}
    ada.new_notebook()
    shared = lab.volume("/tank/datasets") / DATASET
    shared.write_text("species,petal\nsetosa,1.4\nvirginica,5.5\n", encoding="utf-8")
    whom = ada.run_cell("import os, pathlib\nos.environ['JUPYTERHUB_USER'], os.getuid(), str(pathlib.Path.home())")
    assert whom == "('ada', 1000, '/home/jovyan')"
    assert ada.run_cell("sum(range(10)) / 9") == "5.0"
    assert ada.run_cell("os.listdir('/srv/datasets')") == f"['{DATASET}']"
    read = ada.run_cell(f"print(pathlib.Path('/srv/datasets/{DATASET}').read_text())")
    assert read == "species,petal\nsetosa,1.4\nvirginica,5.5"
    pictures.take(ada.page, "notebook", height=560)
    refused = ada.run_cell("open('/srv/datasets/mine', 'w')")
    assert "OSError" in refused
    assert "Read-only file system" in refused
    assert ada.problems == []


def test_what_is_in_the_home_is_there_the_next_time(come: Callable[[str], Person], lab: TourLab) -> None:
    lise = come("lise")
    lise.choose_server()
    lise.start()
    lise.arrive()
    lise.new_notebook()
    assert lise.run_cell("open('kept.txt', 'w').write('mine')") == "4"
    lise.stop()
    assert pods(lab) == {}
    lise.choose_server()
    lise.start()
    lise.arrive()
    expect(lise.page.locator(".jp-DirListing-item", has_text="kept.txt")).to_be_visible()
    zoe = come("zoe")
    zoe.choose_server()
    zoe.start()
    zoe.arrive()
    expect(zoe.page.locator(".jp-DirListing-content")).to_be_visible()
    expect(zoe.page.locator(".jp-DirListing-item", has_text="kept.txt")).to_have_count(0)


def test_the_end_is_announced_and_comes_by_hand(
    come: Callable[[str], Person], lab: TourLab, pictures: Pictures
) -> None:
    """The walltime is half an hour; the lab warns 29 minutes before."""
    emmy = come("emmy")
    emmy.choose_server()
    emmy.choose("gpu-small")
    emmy.start()
    emmy.arrive()
    warning = emmy.notices().filter(has_text="The time this server may run is over at")
    expect(warning).to_be_visible(timeout=180_000)
    expect(warning).to_contain_text(re.compile(r"in 2[89] minutes\. Save your work"))
    pictures.take(emmy.page, "walltime")
    emmy.page.goto(f"{emmy.url}/hub/home")
    pictures.take(emmy.page, "stop", height=240)
    emmy.stop()
    assert pods(lab) == {}


def test_a_profile_of_another_group_is_refused_with_the_reason(
    come: Callable[[str], Person], lab: TourLab, pictures: Pictures
) -> None:
    """Ben sends a form that his page never showed."""
    ben = come("ben")
    ben.choose_server()
    ben.page.locator("#profile-item-gpu-small").evaluate("each => { each.value = 'gpu-whole'; each.checked = true }")
    ben.start()
    expect(ben.page.get_by_role("alert").filter(has_text="That profile is not among yours")).to_be_visible()
    pictures.take(ben.page, "refused", height=350)
    assert pods(lab) == {}


def test_a_group_that_has_its_share_is_told_so(come: Callable[[str], Person], lab: TourLab, pictures: Pictures) -> None:
    ben, eve = come("ben"), come("eve")
    for person in (ben, eve):
        person.choose_server()
        person.choose("gpu-small")
    ben.start()
    ben.arrive()
    eve.start()
    said = eve.page.get_by_role("alert").filter(has_text="students")
    expect(said).to_be_visible()
    pictures.take(eve.page, "limit", height=350)
    assert pods(lab) == {"ben": "Running"}
    ben.stop()
    eve.choose_server()
    eve.choose("gpu-small")
    eve.start()
    eve.arrive()
    assert pods(lab) == {"eve": "Running"}


def test_somebody_waits_for_a_gpu_and_gives_up_or_gets_it(
    come: Callable[[str], Person], lab: TourLab, pictures: Pictures
) -> None:
    """One GPU of the lab is in one piece."""
    rosa, grace = come("rosa"), come("grace")
    rosa.choose_server()
    rosa.choose("gpu-whole")
    rosa.start()
    rosa.arrive()
    grace.choose_server()
    assert grace.free("gpu-whole") == "none of 1 free"
    grace.choose("gpu-whole")
    grace.start()
    message = grace.page.locator("#progress-message")
    expect(message).to_contain_text("No GPU of this kind is free at the moment.")
    assert pods(lab)["grace"] == "Pending"
    pictures.take(grace.page, "waiting", height=520)
    grace.page.get_by_role("button", name="Cancel the start").click()
    expect(message).to_have_text("The start was cancelled. Nothing of it is left.")
    assert pods(lab) == {"rosa": "Running"}
    grace.page.get_by_role("link", name="Choose a server").click()
    grace.choose("gpu-whole")
    grace.start()
    expect(message).to_contain_text("No GPU of this kind is free at the moment.")
    rosa.stop()
    grace.arrive()
    assert pods(lab) == {"grace": "Running"}
    assert rosa.problems == grace.problems == []


def test_two_windows_start_one_server(come: Callable[[str], Person], lab: TourLab) -> None:
    grace = come("grace")
    other = grace.another_window()
    for window in (grace, other):
        window.choose_server()
    grace.start()
    other.start()
    expect(other.page).to_have_url(re.compile(r"/hub/spawn-pending/|/user/"))
    # Two first visits to a server at the same moment in one browser share a cookie of JupyterHub's, and one of them is
    # asked to try again.
    other.page.goto("about:blank")
    grace.arrive()
    other.choose_server()
    other.arrive()
    assert pods(lab) == {"grace": "Running"}
    assert grace.problems == other.problems == []


def test_the_test_user_goes_the_same_way(lab: TourLab) -> None:
    result = lab.well("hub", "check", "--spawn", "--json")
    assert [look["state"] for look in result.json["looks"]] == ["well"] * 6
    await_no_pods(lab)
