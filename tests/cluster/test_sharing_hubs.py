"""Two hubs on one API server, both with everything real: each has its own people, servers and processes."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from cluster_api import eventually
from hub_person import Person
from lab_copy import LabCopy, copy_project
from sharing_bed import Shared, granted

from labctl.local_hub.hub import LocalHub
from labctl.local_hub.programs import obtain_programs


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Shared]:
    """Both stacks up, with their hubs on this machine."""
    obtain_programs(print)
    root = copy_project(tmp_path_factory.mktemp("hubs")).root
    both = granted(LabCopy(root, environment={"LAB_HUB": "1"}))
    both.lab.well("up", "--yes")
    both.tenant.well("up", "--yes")
    yield both
    both.tenant.run("destroy", "--yes")
    both.tenant.run("down", "--wipe")
    both.lab.run("down", "--wipe")


def hub_of(shared: Shared, stack: str) -> LocalHub:
    return LocalHub(shared.lab.root / ".lab" / stack, shared.lab.plane)


def signed_in(shared: Shared, stack: str, name: str) -> Person:
    url = hub_of(shared, stack).url
    assert url is not None
    person = Person(url, name)
    assert person.sign_in().url.endswith("/hub/home")
    return person


def pods(shared: Shared, stack: str) -> list[str]:
    items = shared.api.get(f"/api/v1/namespaces/hub-{stack}/pods")["items"]
    return sorted(item["metadata"]["name"] for item in items if item["status"]["phase"] == "Running")


def test_people_work_at_both_at_once_and_the_end_of_one_is_not_the_others(shared: Shared) -> None:
    ada, guest = signed_in(shared, "dev", "ada"), signed_in(shared, "dev-open", "guest")
    ada.started("minimal")
    guest.started("browse")
    ada.write("mine.txt", "of the lab")
    guest.write("mine.txt", "of a guest")
    assert (ada.read("mine.txt"), guest.read("mine.txt")) == ("of the lab", "of a guest")
    assert (pods(shared, "dev"), pods(shared, "dev-open")) == (["jupyter-ada"], ["jupyter-guest"])
    for stack in ("dev", "dev-open"):
        assert all(part.healthy for part in hub_of(shared, stack).status())

    # The tenant goes with its servers; whoever works at the lab's hub goes on.
    shared.tenant.well("destroy", "--yes")
    assert ada.read("mine.txt") == "of the lab"
    assert pods(shared, "dev") == ["jupyter-ada"]
    assert all(part.healthy for part in hub_of(shared, "dev").status())
    assert not any(part.pid for part in hub_of(shared, "dev-open").status())
    eventually(lambda: not shared.api.exists("/api/v1/namespaces/hub-dev-open"))
    ada.stop()
