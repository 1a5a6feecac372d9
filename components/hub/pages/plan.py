"""The hub's pages and how servers start -> what they add to its release."""

from __future__ import annotations

import html
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING

from components.hub.parts import HubFile, HubPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.gpu.slices import Slice
    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts
    from components.model import Value

__all__ = ["TEMPLATES", "gpu_names", "pages_part"]

TEMPLATES = "/usr/local/etc/jupyterhub/templates"
"""Where the hub has our pages: beside our package, which finds them there (``lab_hub/spawning.py``)."""
_FOLDER = "templates"


def pages_part(config: HubConfig, facts: HubFacts) -> HubPart:
    """Return our pages, and what they and the start of servers are told."""
    contact = facts.contact
    variables: dict[str, Value] = {"lab_contact": contact}
    if config.announcement is not None:
        # The page's template marks it as safe HTML; ours is plain text.
        variables["announcement"] = html.escape(config.announcement)
    spawning: dict[str, Value] = {
        "atOnce": config.servers.concurrent_spawns,
        "resources": dict(gpu_names(facts.slices)),
    }
    if contact:
        spawning["contact"] = contact
    return HubPart(
        settings={"spawning": spawning},
        files=_templates(),
        hub={
            "templateVars": variables,
            # Those beyond it would be answered 429; ours wait in line (lab_hub/waiting_line.py).
            "concurrentSpawnLimit": 0,
            # A hub that ends itself after some failed starts in a row helps where its watch of the pods has broken
            # down, and ours never does. Five people for whom no GPU is free would be such failures, too.
            "consecutiveFailureLimit": 0,
        },
    )


def gpu_names(slices: Sequence[Slice]) -> Mapping[str, str]:
    """Return what GPU resources are called on the pages, by Kubernetes' name.

    Only those that stand for one kind: a resource several models offer keeps the pages' general word.
    """
    kinds = {(offered.resource, _name(offered)) for offered in slices}
    times = Counter(resource for resource, _ in kinds)
    return {resource: name for resource, name in sorted(kinds) if times[resource] == 1}


def _name(offered: Slice) -> str:
    if offered.profile is not None or offered.model is None:
        return offered.name
    return f"{offered.model}" if offered.name == "whole" else f"{offered.model} ({offered.name})"


def _templates() -> tuple[HubFile, ...]:
    folder = files("components.hub.files").joinpath(_FOLDER)
    names = sorted(found.name for found in folder.iterdir() if found.name.endswith(".html"))
    return tuple(HubFile(source=f"{_FOLDER}/{name}", target=f"{TEMPLATES}/{name}") for name in names)
