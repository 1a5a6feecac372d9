"""What docs/profiles.md shows is what the hub takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
import site_profiles
from hub_labs import hub, profile

from components.hub.profiles.checks import ProfileFacts, check_profiles
from components.images import Interface
from stacks.reading import read_yaml

PAGE = (Path(__file__).parents[3] / "docs" / "profiles.md").read_text(encoding="utf-8")
BLOCKS = [
    re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)
    for indent, block in re.findall(r"^( *)```yaml\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
]


def block(beginning: str) -> object:
    """Return the only example of the page that begins so, as data."""
    (found,) = (text for text in BLOCKS if text.startswith(beginning))
    document = read_yaml(found)
    assert document.problems == ()
    return document.value


def test_the_example_of_a_section_is_sound() -> None:
    example = cast("dict[str, dict[str, object]]", block("hub:"))["hub"]
    config = hub(**example)
    assert [each.slug for each in config.profiles] == ["data-science", "custom"]
    facts = ProfileFacts(
        slices=site_profiles.SLICES,
        images={"data-science", "code-server", "rstudio"},
        interfaces={**site_profiles.INTERFACES, "data-science": (Interface.NOTEBOOK,)},
    )
    assert [str(problem) for problem in check_profiles(config, facts)] == []


def test_the_example_of_a_build_is_refused_only_because_nobody_pinned_it() -> None:
    (course,) = cast("list[dict[str, object]]", block("- slug: vision"))
    config = hub(profiles=[profile(), course])
    facts = ProfileFacts(images={"minimal-notebook"})
    (found,) = check_profiles(config, facts)
    assert found.path == ("profiles", 1, "image")
    assert "stacks/pins" in found.remedy


@pytest.mark.parametrize("key", ["image", "resources", "gpu", "options", "groups", "walltime", "environment"])
def test_every_key_of_a_profile_has_its_line(key: str) -> None:
    assert re.search(rf"^\| .*`{key}`", PAGE, re.MULTILINE)
