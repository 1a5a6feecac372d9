"""Images by digest: a tag is moved by whoever may write to its registry, a digest is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from labctl.graph.values import Unknown, Value

from .model import Finding, Rule, Severity
from .reading import Node, opened, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import RuledResource, Surroundings

__all__ = ["RULES"]

DIGEST: Final = re.compile(r"(?:^|@)sha256:[0-9a-f]{64}$")
"""End of a reference that names one content (OCI image specification)."""
IMAGE_KEY: Final = re.compile(r"(?:^|[a-z_])images?$|^image(?:Name|Ref|_name)$", re.IGNORECASE)
"""Keys whose text is an image."""
PLACE_KEYS: Final = ("repository", "name", "registry", "image", "reference")
"""Keys of an image's place, where a chart takes it in parts."""
VERSION_KEYS: Final = ("digest", "tag", "version", "sha", "reference")
"""Keys of an image's version, where a chart takes it in parts."""
REMEDY: Final = "name it with its digest, as stacks/pins has it: <repository>:<tag>@sha256:<64 digits>"


def _check(resource: RuledResource, _around: Surroundings) -> Iterator[Finding]:
    """Yield every image, of containers and of values of charts, that its registry could exchange."""
    for node in resource.nodes:
        if isinstance(node.value, str):
            yield from _reference(node)
        elif isinstance(node.value, list) and IMAGE_KEY.search(node.key):
            yield from _listed(node, node.value)
        elif isinstance(node.value, dict) and _in_parts(node, node.value):
            yield from _parts(node, node.value)


def _reference(node: Node) -> Iterator[Finding]:
    """Yield an image written in one piece."""
    is_part = "repository" in node.siblings or "registry" in node.siblings
    is_version_only = not node.value or DIGEST.search(text(node.value)) is not None
    if IMAGE_KEY.search(node.key) and not is_part and not is_version_only:
        yield Finding(path=node.place, what=f"the image {node.shown} has no digest", remedy=REMEDY)


def _listed(node: Node, items: list[Value]) -> Iterator[Finding]:
    """Yield images of a list of texts, ``images: [...]``."""
    for index, item in enumerate(items):
        found = opened(item)
        if isinstance(found, str) and found and DIGEST.search(found) is None:
            sealed = node.sealed or found is not item
            one = Node(node.path if sealed else (*node.path, index), node.key, found, {}, sealed)
            yield Finding(path=one.place, what=f"the image {one.shown} has no digest", remedy=REMEDY)


def _in_parts(node: Node, parts: dict[str, Value]) -> bool:
    """Tell whether `parts` describe one image: ``{repository, tag}``, and nothing else has those names."""
    if "repository" in parts and any(key in parts for key in (*VERSION_KEYS, "image")):
        return True
    if IMAGE_KEY.search(node.key) and any(key in parts for key in PLACE_KEYS):
        return True
    return "name" in parts and "tag" in parts


def _parts(node: Node, parts: dict[str, Value]) -> Iterator[Finding]:
    """Yield an image written in parts of which none is a digest."""
    stated = [opened(parts[key]) for key in (*VERSION_KEYS, "image", "repository", "name") if key in parts]
    if any(isinstance(value, Unknown) or (isinstance(value, str) and DIGEST.search(value)) for value in stated):
        return
    if not any(isinstance(value, str) and value for value in stated):
        return
    plain = [] if node.sealed else [value for key in PLACE_KEYS if isinstance(value := parts.get(key), str) and value]
    named = plain[0] if plain else "here"
    yield Finding(path=node.place, what=f"the image {named} has no digest", remedy=REMEDY)


RULES: Final = (
    Rule(
        name="image-digest",
        description="Every image that we name, in objects and in values of charts, is named by its digest.",
        severity=Severity.MANDATORY,
        check=_check,
    ),
)
