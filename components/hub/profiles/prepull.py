"""Which images are on the nodes before anybody starts a server.

The chart pulls every profile's image onto every node it may run pods on, GPU images of 10 GB onto CPU nodes and, since
its pods tolerate no GPU taint, none onto GPU nodes. So its own choice is switched off (``pullProfileListImages``) and
the images are named: those of profiles that say so (``prePull``), without a word those where no choice has a GPU. The
default profile's image is always among them; the chart pulls it by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.gpu.slices import TAINT_KEY

from .plan import own_tolerations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts
    from components.images import ImageReference
    from components.model import Value

    from .config import ProfileConfig

__all__ = ["chart_image", "is_pulled", "pre_puller"]


def pre_puller(config: HubConfig, facts: HubFacts) -> dict[str, Value]:
    """Return the chart's ``prePuller`` without its own images: what is pulled, and past which taints.

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        What is around the hub.
    """
    # Without a container runtime nothing is pulled, and the hook would wait for pulls that never happen.
    pulls = not facts.is_simulated
    pulled = [profile for profile in config.profiles if is_pulled(profile)]
    # The chart pulls the default profile's by itself (`singleuser.image`).
    by_itself = {profile.default_image for profile in config.profiles if profile.default}
    names = dict.fromkeys(name for profile in pulled for name in _images(profile) if name not in by_itself)
    return {
        "hook": {"enabled": pulls},
        "continuous": {"enabled": pulls},
        "pullProfileListImages": False,
        "extraImages": {name: chart_image(facts.images[name]) for name in names},
        "extraTolerations": _tolerations(pulled),
    }


def is_pulled(profile: ProfileConfig) -> bool:
    """Tell whether a profile's images are pulled ahead of time."""
    return not any(profile.gpus()) if profile.pre_pull is None else profile.pre_pull


def chart_image(image: ImageReference) -> Mapping[str, Value]:
    """Return an image as the chart joins it, ``name:tag``, digest included with or without a tag."""
    if image.tag is not None:
        return {"name": image.name, "tag": image.tag_and_digest}
    algorithm, _, digest = image.digest.partition(":")
    return {"name": f"{image.name}@{algorithm}", "tag": digest}


def _images(profile: ProfileConfig) -> list[str]:
    return [name for name, _ in profile.images()] + [sidecar.image for sidecar in profile.sidecars]


def _tolerations(pulled: Sequence[ProfileConfig]) -> list[Value]:
    """Return what the pulling pods tolerate beside the chart's own: taints of nodes on which the images are needed."""
    found: list[Value] = []
    for profile in pulled:
        gpu: Mapping[str, Value] = {"key": TAINT_KEY, "operator": "Exists", "effect": "NoSchedule"}
        for toleration in (*own_tolerations(profile), *((gpu,) if any(profile.gpus()) else ())):
            if toleration not in found:
                found.append(toleration)
    return found
