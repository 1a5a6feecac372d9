"""What is wrong with the declared driver: by itself, and for the models it is to drive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.problems import Problem

from .config import DriverConfig, DriverSource, KernelModule
from .driver_plan import branch_of, driver_needs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.problems import Path

    from .models import GpuModel

__all__ = ["check_driver", "check_driver_for"]


def check_driver(driver: DriverConfig) -> Iterator[Problem]:
    """Yield what is said of the operator's driver although the hosts bring their own; paths in the GPU section."""
    if driver.source is not DriverSource.HOST:
        return
    if driver.kernel_module is not KernelModule.AUTO:
        yield Problem(
            path=("driver", "kernelModule"),
            what="the kernel module is chosen for a driver that the hosts bring themselves",
            remedy="drop kernelModule, or set source: operator",
        )
    if driver.version is not None:
        yield Problem(
            path=("driver", "version"),
            what="the version is chosen for a driver that the hosts bring themselves",
            remedy="pin its packages in nodes.system.nvidiaDriver, or set source: operator",
        )


def check_driver_for(driver: DriverConfig, model: GpuModel, path: Path) -> Iterator[Problem]:
    """Yield why a GPU model cannot run under the operator's driver that is asked for.

    A driver of the hosts' own is looked at on the hosts, by the step ``gpu-driver``.

    Parameters
    ----------
    driver
        The declared driver.
    model
        A model of the lab.
    path
        Place of its host in the GPU section.
    """
    if driver.source is DriverSource.HOST:
        return
    needs = driver_needs(model)
    if driver.version is None:
        if needs.last_branch is not None:
            yield Problem(
                path=path,
                what=f"the operator's driver no longer drives {model.name} ({model.architecture} ended with driver "
                f"branch {needs.last_branch})",
                remedy=f"set driver.version to one of branch {needs.last_branch}, or driver.source: host and install "
                "such a driver there",
            )
    elif (refusal := needs.refuses(branch_of(driver.version))) is not None:
        yield Problem(
            path=path,
            what=f"driver {driver.version} does not drive {model.name} ({model.architecture}): {refusal}",
            remedy="choose a driver.version of a branch that drives all GPUs of the lab, or driver.source: host",
        )
    if driver.kernel_module is not KernelModule.AUTO and driver.kernel_module not in needs.kinds:
        yield Problem(
            path=path,
            what=f"{model.name} ({model.architecture}) has only the {needs.kinds[0]} kernel module",
            remedy="set driver.kernelModule: auto",
        )
