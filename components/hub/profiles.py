"""Profiles of the stack file -> the spawn page's list, in KubeSpawner's terms (``profile_list``)."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from components.gpu.slices import allowed_node_labels

from .errors import UnofferedSliceError
from .parts import HubPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.gpu.slices import Slice
    from components.images import ImageReference
    from components.model import Value
    from components.quantities import Size

    from .config import HubConfig
    from .profiles_config import GpuRequest, ProfileConfig

__all__ = ["byte_specification", "matching_slices", "page_text", "profile_groups", "profile_list", "profiles_part"]

CHART_TOLERATIONS: Sequence[Mapping[str, Value]] = tuple(
    {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
    for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
)
"""What the chart lets every server tolerate (``scheduling.userPods.tolerations``); a profile's list replaces it."""

HIDDEN_GPUS = "void"
"""Value of NVIDIA_VISIBLE_DEVICES that hides every GPU (NVIDIA Container Toolkit, "Environment variables"). CUDA images
say ``all``, and would see them all under a runtime that believes them."""

_BYTE_UNITS = (("T", 2**40), ("G", 2**30), ("M", 2**20), ("K", 2**10))
"""Suffixes of JupyterHub's memory settings and their bytes (``jupyterhub.traitlets.ByteSpecification``)."""


def profile_list(
    config: HubConfig, images: Mapping[str, ImageReference], slices: Sequence[Slice]
) -> Sequence[Mapping[str, Value]]:
    """Return the spawn page's choices.

    Parameters
    ----------
    config
        Hub section; checked.
    images
        Pinned images by name; every profile's is among them.
    slices
        What the GPUs offer.

    Raises
    ------
    KeyError
        If a profile's image is not pinned, which the checks report first.
    UnofferedSliceError
        If a profile asks for a slice nobody offers, which the checks report first.
    """
    return [_profile(profile, images, slices) for profile in config.profiles]


def profile_groups(config: HubConfig) -> Mapping[str, Sequence[str]]:
    """Return the groups that may see a profile, by its slug; profiles for everybody are not in it."""
    return {profile.slug: list(profile.groups) for profile in config.profiles if profile.groups}


def profiles_part(config: HubConfig) -> HubPart:
    """Return what shows and enforces profiles by group (``files/lab_hub/profiles.py``)."""
    return HubPart(settings={"groups": {slug: list(names) for slug, names in profile_groups(config).items()}})


def matching_slices(request: GpuRequest, slices: Sequence[Slice]) -> Sequence[Slice]:
    """Return the offered slices a request can be met by: its name, and its model where it names one."""
    return [
        offered
        for offered in slices
        if offered.name == request.slice and (request.model is None or offered.model == request.model)
    ]


def page_text(text: str) -> str:
    """Return a plain text so that the spawn page shows it as it is.

    KubeSpawner puts it into the page unescaped, and JupyterHub runs the result as a template once more.

    Examples
    --------
    >>> page_text("R&D {{ x }}")
    'R&amp;D &#123;&#123; x &#125;&#125;'
    """
    return html.escape(text).replace("{", "&#123;").replace("}", "&#125;")


def byte_specification(size: Size) -> str:
    """Return an amount of memory as JupyterHub reads it, rounded up to a KiB.

    Its suffixes are powers of 1024 without the ``i``. A bare number would travel through the chart as a float.

    Examples
    --------
    >>> from components.quantities import Size
    >>> byte_specification(Size.parse("1536Mi"))
    '1536M'
    """
    kibibytes = -(-size.bytes // 2**10) * 2**10
    suffix, unit = next((suffix, unit) for suffix, unit in _BYTE_UNITS if kibibytes % unit == 0)
    return f"{kibibytes // unit}{suffix}"


def _profile(
    profile: ProfileConfig, images: Mapping[str, ImageReference], slices: Sequence[Slice]
) -> Mapping[str, Value]:
    override: dict[str, Value] = {"image": str(images[profile.image])}
    guarantee, limit = profile.resources.guarantee, profile.resources.limit
    if guarantee.cpu is not None:
        override["cpu_guarantee"] = guarantee.cpu.as_cores
    if guarantee.memory is not None:
        override["mem_guarantee"] = byte_specification(guarantee.memory)
    if limit.cpu is not None:
        override["cpu_limit"] = limit.cpu.as_cores
    if limit.memory is not None:
        override["mem_limit"] = byte_specification(limit.memory)
    if profile.gpu is None:
        override["environment"] = {"NVIDIA_VISIBLE_DEVICES": HIDDEN_GPUS}
    else:
        override |= _gpu(profile.slug, profile.gpu, slices)
    return {
        "slug": profile.slug,
        "display_name": page_text(profile.name),
        "description": page_text(profile.description),
        "default": profile.default,
        "kubespawner_override": override,
    }


def _gpu(slug: str, request: GpuRequest, slices: Sequence[Slice]) -> Mapping[str, Value]:
    matching = matching_slices(request, slices)
    if not matching:
        raise UnofferedSliceError(slug, request.slice)
    offered = matching[0]
    override: dict[str, Value] = {
        # Kubernetes takes an extended resource's request from its limit; the two may not differ.
        "extra_resource_limits": {offered.resource: request.count},
        "extra_labels": dict(offered.pod_labels),
        "tolerations": [*CHART_TOLERATIONS, offered.toleration],
    }
    # The resource alone does not say which slice it is: a GPU shared by turns and one shared by MPS have the same.
    if allowed := allowed_node_labels(matching):
        terms = [{"key": label, "operator": "In", "values": list(values)} for label, values in allowed.items()]
        override["node_affinity_required"] = [{"matchExpressions": terms}]
    return override
