"""What ``labctl images`` has built: the lab's images, its lecturers', and what of them is pinned."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from ruamel.yaml import YAML

from components.hub.profiles.config import ProfileConfig
from components.images import ImageReference, Interface
from components.pins import ImagePin
from labctl.images.bake import Bake, bake_file, course_builds
from labctl.images.built import pins_of
from labctl.images.catalogue import load_catalogue
from labctl.images.errors import BuiltTwiceError, CatalogueError, MetadataError, RegistryError, UnknownBaseError
from labctl.verbs.images import described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "images"
DIGEST = "sha256:" + "0123456789abcdef" * 4
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BUILD = {
    "repository": "https://git.example.org/teaching/vision.git",
    "commit": COMMIT,
    "folder": "docker/jupyter",
    "base": "data-science",
}
UPSTREAM = {
    name: ImageReference.parse(f"quay.io/jupyter/{name}:2026-11-02@{DIGEST}")
    for name in ("minimal-notebook", "datascience-notebook", "pytorch-notebook")
}


def course(**changes: object) -> ProfileConfig:
    """Return a lecturer's profile, its build changed."""
    nothing: dict[str, object] = {}
    profile: dict[str, object] = {"slug": "vision", "name": "Computer vision", "image": "vision", "resources": nothing}
    return ProfileConfig.model_validate({**profile, "build": {**BUILD, **changes}})


def lab(folder: Path = IMAGES, **changes: object) -> Bake:
    """Return a lab with its own images and one lecturer's."""
    bake = Bake(
        catalogue=load_catalogue(folder),
        folder=folder,
        courses=course_builds([course()]),
        pins=UPSTREAM,
        registry="registry.example.org/lab",
    )
    return replace(bake, **changes)  # pyright: ignore[reportArgumentType] - each test names a field of it


def targets(bake: Bake) -> Mapping[str, Mapping[str, object]]:
    return cast("Mapping[str, Mapping[str, object]]", bake_file(bake)["target"])


def tag(bake: Bake, name: str) -> str:
    (found,) = cast("Sequence[str]", targets(bake)[name]["tags"])
    return found


def test_the_labs_own_images_stand_on_pinned_ones_by_digest() -> None:
    found = targets(lab())
    assert set(found) == {"minimal", "data-science", "gpu", "code-server", "rstudio", "vision"}
    assert found["minimal"]["args"] == {"BASE": str(UPSTREAM["minimal-notebook"])}
    assert found["gpu"]["args"] == {"BASE": str(UPSTREAM["pytorch-notebook"])}
    assert found["rstudio"]["contexts"] == {"lab-base": "target:data-science"}
    assert found["rstudio"]["args"] == {"BASE": "lab-base"}


def test_a_lecturers_image_is_a_folder_of_a_commit_on_one_of_the_labs() -> None:
    found = targets(lab())["vision"]
    assert found["context"] == f"https://git.example.org/teaching/vision.git#{COMMIT}:docker/jupyter"
    assert found["dockerfile"] == "Dockerfile"
    assert found["contexts"] == {"lab-base": "target:data-science"}
    labels = cast("Mapping[str, str]", found["labels"])
    assert labels["org.opencontainers.image.revision"] == COMMIT
    assert labels["org.opencontainers.image.source"] == BUILD["repository"]


def test_the_repository_itself_is_a_folder_without_a_name() -> None:
    courses = course_builds([course(folder=".")])
    assert targets(lab(courses=courses))["vision"]["context"] == f"{BUILD['repository']}#{COMMIT}"


def test_a_lecturers_image_stands_on_the_pinned_digest_once_there_is_one() -> None:
    pinned = ImageReference.parse(f"registry.example.org/lab/data-science:1@{DIGEST}")
    found = targets(lab(pins={**UPSTREAM, "data-science": pinned}))["vision"]
    assert found["args"] == {"BASE": str(pinned)}
    assert "contexts" not in found


def test_a_tag_changes_with_what_the_image_is_made_of_and_with_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(IMAGES, folder)
    before = lab(folder)
    names = list(targets(before))
    assert [tag(lab(folder), name) for name in names] == [tag(before, name) for name in names]
    kept = {name: tag(before, name) for name in names}
    (folder / "notebook" / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n", encoding="utf-8")
    # Everything stands on it, the lecturer's image too.
    assert {name for name in names if tag(lab(folder), name) != kept[name]} == set(names)
    (folder / "notebook" / "Dockerfile").write_bytes((IMAGES / "notebook" / "Dockerfile").read_bytes())
    (folder / "rstudio" / "requirements.txt").write_text("", encoding="utf-8")
    assert {name for name in names if tag(lab(folder), name) != kept[name]} == {"rstudio"}
    assert tag(lab(courses=course_builds([course(commit="f" * 40)])), "vision") != kept["vision"]


def test_groups_say_what_is_built_together() -> None:
    groups = cast("Mapping[str, Mapping[str, Sequence[str]]]", bake_file(lab())["group"])
    assert groups["courses"]["targets"] == ["vision"]
    assert set(groups["default"]["targets"]) == {*groups["lab"]["targets"], "vision"}
    assert "courses" not in cast("Mapping[str, object]", bake_file(lab(courses={}))["group"])


@pytest.mark.parametrize(
    "registry", ["", "registry.example.org", "Registry.example.org/lab", "a/b c", "https://r.org/x"]
)
def test_a_registry_has_a_folder(registry: str) -> None:
    with pytest.raises(RegistryError, match="write one such as"):
        bake_file(lab(registry=registry))


def test_what_stands_on_nothing_known_is_refused() -> None:
    with pytest.raises(UnknownBaseError, match="vision is built on ubuntu"):
        bake_file(lab(courses=course_builds([course(base="ubuntu")])))
    with pytest.raises(UnknownBaseError, match="gpu is built on pytorch-notebook"):
        bake_file(lab(pins={name: image for name, image in UPSTREAM.items() if name != "pytorch-notebook"}))


def test_one_name_is_one_image() -> None:
    assert course_builds([course(), course()]) == course_builds([course()])
    with pytest.raises(BuiltTwiceError, match="vision"):
        course_builds([course(), course(commit="f" * 40)])
    with pytest.raises(BuiltTwiceError, match="minimal"):
        bake_file(lab(courses={"minimal": course_builds([course()])["vision"]}))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"commit": "main"}, "commit"),
        ({"commit": COMMIT[:12]}, "commit"),
        ({"repository": "git@git.example.org:x.git"}, "repository"),
        ({"repository": "https://user@git.example.org/x.git"}, "repository"),
        ({"folder": "../other"}, "no path inside the repository"),
        ({"folder": "/etc"}, "no path inside the repository"),
        ({"dockerfile": "a:b"}, "no path inside the repository"),
    ],
)
def test_a_build_is_one_commit_of_one_repository(changes: Mapping[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        course(**changes)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x: {title: X, folder: nowhere, base: {pin: a}}", "images/nowhere has no Dockerfile"),
        ("x: {title: X, folder: notebook, base: {}}", "exactly one other"),
        ("x: {title: X, folder: notebook, base: {pin: a, image: x}}", "exactly one other"),
        ("x: [", "not YAML"),
        ("- x", "dictionary"),
    ],
)
def test_a_catalogue_that_is_none_is_refused(text: str, what: str, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(IMAGES, folder)
    (folder / "images.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError, match=what):
        load_catalogue(folder)


def test_images_that_stand_on_each_other_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(IMAGES, folder)
    text = "a: {title: A, folder: notebook, base: {image: b}}\nb: {title: B, folder: notebook, base: {image: a}}\n"
    (folder / "images.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UnknownBaseError, match="a is built on itself"):
        bake_file(lab(folder, courses={}))


# After a build


def metadata(folder: Path, **built: object) -> Path:
    path = folder / "built.json"
    path.write_text(json.dumps(built), encoding="utf-8")
    return path


def test_what_was_built_becomes_pins(tmp_path: Path) -> None:
    said = {
        name: {"containerimage.digest": DIGEST, "image.name": tag(lab(), name)}
        for name in ("code-server", "vision", "minimal")
    }
    found = pins_of(lab(), metadata(tmp_path, **said, **{"buildx.build.warnings": None}))
    assert list(found) == ["minimal", "code-server", "vision"]
    pins = {name: ImagePin.model_validate(entry) for name, entry in found.items()}
    assert str(pins["vision"].image) == f"{tag(lab(), 'vision')}@{DIGEST}"
    assert COMMIT in pins["vision"].source
    assert pins["code-server"].interfaces == (Interface.NOTEBOOK, Interface.CODE_SERVER)


@pytest.mark.parametrize("said", [{}, {"image.name": "registry.example.org/lab/minimal:1"}])
def test_what_was_not_pushed_has_no_digest_to_pin(said: object, tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="not been pushed"):
        pins_of(lab(), metadata(tmp_path, minimal=said))


def test_metadata_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match="--metadata-file"):
        pins_of(lab(), tmp_path / "nowhere.json")


# The real stacks, the real files


@pytest.mark.parametrize("stack", ["dev", "next", "test", "prod"])
def test_every_environment_can_have_its_images_built(stack: str) -> None:
    found = targets(described(stack, "registry.example.org/lab", ROOT))
    assert {"minimal", "data-science", "gpu", "code-server", "rstudio"} <= set(found)


def test_an_image_that_is_to_be_built_need_not_be_pinned_yet(tmp_path: Path) -> None:
    shutil.copytree(IMAGES, tmp_path / "images")
    yaml = YAML()
    stack = yaml.load((ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8"))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - untyped there
    made = course().model_dump(mode="json", by_alias=True, exclude_defaults=True)
    stack["config"]["research-compute:cluster"]["hub"]["profiles"].append({**made, "resources": {"guarantee": {}}})
    with (tmp_path / "Pulumi.dev.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(stack, file)  # pyright: ignore[reportUnknownMemberType] - untyped there
    assert "vision" in targets(described("dev", "registry.example.org/lab", tmp_path))


DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_passes_the_linter(path: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is not installed (requirements-dev.txt)")
    ran = subprocess.run([linter, "--no-color", path], capture_output=True, text=True, check=False)
    assert ran.stdout == ""
    assert ran.returncode == 0


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_dockerfile_fetches_nothing_unchecked_and_ends_unprivileged(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["${BASE}"]
    # As a number: a name in an image is nobody the kubelet could tell from root.
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "1000"
    assert text.count("wget") == text.count("sha256sum --check")
    assert all("--require-hashes" in line for line in text.splitlines() if "pip install" in line)


def test_every_folder_is_built_and_every_image_has_one() -> None:
    assert {image.folder for image in load_catalogue(IMAGES).values()} == {path.parent.name for path in DOCKERFILES}
