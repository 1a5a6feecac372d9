"""Real hosts for the tests of this folder, only where they were asked for: they need root and change the machine."""

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from bed import Bed, Host
from bed_bundle import Bundle, make_bundle
from bed_packages import add_packages
from hosts_lab import ENVIRONMENT, HostsLab, lab_on
from storage_hosts import StorageHosts, destroy_pools, pool, prepare_storage

from labctl.bundle.mirror import Mirror
from stacks.pins import load_pins

TEST_SECONDS = 1800
"""For one test and the cluster it begins with: a control plane of three comes up in it, on a machine that is busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give what needs hosts its time, and skip it unless this run may have them."""
    allowed = os.environ.get("LAB_TESTS") == "all" and os.geteuid() == 0
    here = Path(__file__).parent
    for item in items:
        if not item.path.is_relative_to(here):
            continue
        item.add_marker(pytest.mark.timeout(TEST_SECONDS))
        if not allowed:
            item.add_marker(pytest.mark.skip(reason="boots hosts: needs root and LAB_TESTS=all"))


@pytest.fixture(scope="module")
def make_bed() -> Generator[Callable[[int], Bed]]:
    """Start a bed with that many hosts; it is gone after the module."""
    with ExitStack() as stack:
        yield lambda count: stack.enter_context(Bed.start(count, progress=print))


@pytest.fixture(scope="module")
def make_lab(
    make_bed: Callable[[int], Bed], bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Callable[[int, int], HostsLab]]:
    """Describe a lab of a control plane and so many workers, on hosts that are bare; so many more stand beside it."""
    with ExitStack() as stack:

        def make(workers: int, spare: int = 0) -> HostsLab:
            folder = bundle.copy_to(tmp_path_factory.mktemp("bundle") / "bundle")
            add_packages(folder, print)
            bed = make_bed(1 + workers + spare)
            mirror = stack.enter_context(Mirror(folder, listen=(bed.address, 0)))
            members = bed.hosts[: 1 + workers]
            roles = {host.name: ["worker" if index else "control-plane"] for index, host in enumerate(members)}
            pins = bundle.put_into(load_pins(ENVIRONMENT))
            return lab_on(bed, mirror, pins, tmp_path_factory.mktemp("lab"), roles)

        yield make


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The files and images hosts need."""
    return make_bundle(print)


@pytest.fixture(scope="module")
def hosts(make_bed: Callable[[int], Bed], tmp_path_factory: pytest.TempPathFactory) -> Generator[StorageHosts]:
    """One host that ZFS is installed on."""
    with prepare_storage(make_bed(1), tmp_path_factory.mktemp("mirror") / "bundle") as prepared:
        prepared.up(prepared.storage({"tank": pool("mirror", ["/disks/a", "/disks/b"])}), ["zfs"])
        yield prepared


@pytest.fixture
def host(hosts: StorageHosts) -> Generator[Host]:
    """The host without any pool, before and after."""
    destroy_pools(hosts.host())
    yield hosts.host()
    destroy_pools(hosts.host())
