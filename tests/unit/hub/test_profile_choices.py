"""What users choose within a profile: every combination is what it says, by KubeSpawner itself."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol, cast

import pytest
import site_profiles
from hub_labs import FACTS, hub, profile
from hypothesis import given
from hypothesis import strategies as st

from components.hub.files.lab_hub.profiles import NoProfileError, NoSuchChoiceError, NoSuchProfileError, offer_by_group
from components.hub.profiles.choices import combinations, combined
from components.hub.profiles.plan import profile_groups, profile_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts
    from components.hub.files.lab_hub.objects import HubConfiguration, Spawner

MISSING = "the hub's own packages are not installed (requirements-dev.txt)"
kubespawner = pytest.importorskip("kubespawner", reason=MISSING)
kubespawner_module = pytest.importorskip("kubespawner.spawner", reason=MISSING)
traitlets_config = pytest.importorskip("traitlets.config", reason=MISSING)

SITE_FACTS = dataclasses.replace(FACTS, images=site_profiles.IMAGES, slices=site_profiles.SLICES)
RWTH, WWU = hub(**site_profiles.RWTH), hub(**site_profiles.WWU)
CHART_TAINTS = {"hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated"}


class Manifest(Protocol):
    """An object KubeSpawner would create."""

    def to_dict(self) -> Mapping[str, object]: ...


class RealSpawner(Protocol):
    """What is asked of KubeSpawner."""

    user: object
    user_options: Mapping[str, object]
    environment: Mapping[str, str]
    default_url: str
    get_env: Callable[[], Mapping[str, str]]

    async def load_user_options(self) -> None: ...
    async def get_pod_manifest(self) -> Manifest: ...
    def options_from_form(self, formdata: Mapping[str, Sequence[str]]) -> Mapping[str, object]: ...


def nothing(*_given: object, **_named: object) -> None:
    """Stand for what would look for a cluster."""


@pytest.fixture(autouse=True, scope="module")
def _no_cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kubespawner_module, "load_config", nothing)
        patched.setattr(kubespawner_module, "shared_client", nothing)
        yield


def spawner_of(profiles: object, *groups: str) -> RealSpawner:
    """Return a fresh KubeSpawner, as the hub makes one for every start."""
    c = traitlets_config.Config({"KubeSpawner": {"profile_list": profiles, "default_url": "/lab"}})
    made = cast("RealSpawner", kubespawner.KubeSpawner(config=c, _mock=True))
    made.user = SimpleNamespace(name="ana", id=1, url="/user/ana", groups=[SimpleNamespace(name=n) for n in groups])
    # The hub's own variables come from a running hub; the profile's are what is looked at.
    expand = getattr(made, "_expand_env")  # noqa: B009 - KubeSpawner's own, without a public name
    made.get_env = lambda: expand(made.environment)
    return made


def started(profiles: object, options: Mapping[str, object]) -> tuple[Mapping[str, object], RealSpawner]:
    """Return the pod KubeSpawner would create for a start with these options, and the spawner."""
    spawner = spawner_of(profiles)
    spawner.user_options = options

    async def pod() -> Manifest:
        await spawner.load_user_options()
        return await spawner.get_pod_manifest()

    return asyncio.run(pod()).to_dict(), spawner


def at(found: object, *path: str | int) -> object:
    for step in path:
        found = cast("Mapping[str | int, object]", found)[step]
    return found


def listed(found: object, *path: str | int) -> Sequence[Mapping[str, object]]:
    return cast("Sequence[Mapping[str, object]]", at(found, *path) or ())


def cores(text: str) -> float:
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def gibibytes(text: str) -> int:
    return int(text.removesuffix("Gi")) * 2**30


def choice(option: str, key: str) -> Mapping[str, object]:
    """Return a choice as the site's file has it."""
    (dialog,) = cast("Sequence[Mapping[str, object]]", site_profiles.WWU["profiles"])
    return next(each for each in listed(dialog, "options", option) if each["key"] == key)


def test_a_dialog_offers_every_combination() -> None:
    (entry,) = profile_list(WWU, SITE_FACTS)
    assert len(list(combinations(entry))) == 3 * 3 * 4 * 4


T4 = {"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.sharing-strategy": "time-slicing"}
A100 = {"nvidia.com/gpu.product": "NVIDIA-A100-80GB-PCIe"}
GPUS: Mapping[str, tuple[Mapping[str, int], Mapping[str, str] | None]] = {
    "none": ({}, None),
    "t4": ({"nvidia.com/gpu.shared": 1}, T4),
    "slice": ({"nvidia.com/mig-1g.10gb": 2}, A100),
    "a100": ({"nvidia.com/gpu": 1}, A100),
}
"""What each GPU of the dialog has to become: extended resource, labels of the node."""


@pytest.mark.parametrize("gpu", GPUS)
@pytest.mark.parametrize("image", ["minimal", "gpu", "code", "rstudio"])
def test_every_combination_is_what_it_says(gpu: str, image: str) -> None:
    listing = profile_list(WWU, SITE_FACTS)
    for chosen in combinations(listing[0]):
        if (chosen["gpu"], chosen["image"]) != (gpu, image):
            continue
        pod, spawner = started(listing, {"profile": "custom", **chosen})
        container = at(pod, "spec", "containers", 0)
        cpu, memory = choice("cpu", chosen["cpu"]), choice("memory", chosen["memory"])
        resources, labels = GPUS[gpu]
        assert at(container, "resources", "requests") == {
            "cpu": cores(str(at(cpu, "cpu", "guarantee"))),
            "memory": gibibytes(str(at(memory, "memory", "guarantee"))),
        }
        assert at(container, "resources", "limits") == {
            "cpu": cores(str(at(cpu, "cpu", "limit"))),
            "memory": gibibytes(str(at(memory, "memory", "limit"))),
            **resources,
        }
        assert at(container, "image") == str(site_profiles.IMAGES[str(choice("image", image)["image"])])
        assert spawner.default_url == {"code": "/vscode", "rstudio": "/rstudio"}.get(image, "/lab")
        variables = {str(each["name"]): each["value"] for each in listed(container, "env")}
        assert variables == {
            "OMP_PROC_BIND": "close",
            "FORMAT": '{"a": 1}',
            **({"NVIDIA_VISIBLE_DEVICES": "void"} if gpu == "none" else {}),
        }
        tolerated = {str(each["key"]) for each in listed(pod, "spec", "tolerations")}
        assert tolerated == CHART_TAINTS | {"example.org/node-group"} | ({"nvidia.com/gpu"} if resources else set())
        assert node_labels(pod) == labels
        assert at(pod, "metadata", "labels", "lab.internal/network") == "default"
        held = cast("Mapping[str, str]", at(pod, "metadata", "labels")).get("research-compute/holds-gpu")
        assert held == ("true" if resources else None)


def node_labels(pod: Mapping[str, object]) -> Mapping[str, str] | None:
    """Return what a pod requires of its node's labels, one value each; None where nothing."""
    affinity = at(pod, "spec", "affinity")
    if affinity is None:
        return None
    required = at(affinity, "node_affinity", "required_during_scheduling_ignored_during_execution")
    (term,) = listed(required, "node_selector_terms")
    return {
        str(each["key"]): "".join(cast("Sequence[str]", each["values"])) for each in listed(term, "match_expressions")
    }


def test_without_a_choice_the_defaults_count() -> None:
    listing = profile_list(WWU, SITE_FACTS)
    pod, _ = started(listing, {})
    assert at(pod, "spec", "containers", 0, "resources", "limits") == {"cpu": 1.0, "memory": 8 * 2**30}


def test_a_university_has_its_lectures_labs_and_generic_profiles() -> None:
    listing = profile_list(RWTH, SITE_FACTS)
    assert len(listing) == 15 + 5 + 13
    groups = profile_groups(RWTH)
    assert groups["lecture-07"] == ["course-lecture-07"]
    assert "generic-01" not in groups
    for entry in listing:
        pod, _ = started(listing, {"profile": str(entry["slug"])})
        is_lab = str(entry["slug"]).startswith("lab-")
        limits = {"nvidia.com/gpu.shared": 1} if is_lab else {}
        assert at(pod, "spec", "containers", 0, "resources", "limits") == limits
        assert at(pod, "metadata", "labels", "lab.internal/network") == ("exam" if is_lab else "default")


# Any profile


AMOUNTS = st.integers(min_value=1, max_value=512)
GPU_CHOICES: Sequence[Mapping[str, object] | None] = (
    None,
    {"slice": "whole.shared"},
    {"slice": "1g.10gb", "count": 3},
    {"slice": "whole", "count": 2},
)
RESOURCES = {"whole.shared": "nvidia.com/gpu.shared", "1g.10gb": "nvidia.com/mig-1g.10gb", "whole": "nvidia.com/gpu"}


@st.composite
def dialogs(draw: st.DrawFn) -> Mapping[str, object]:
    """Return a profile that lets choose some of size (in whatever way), image and GPU."""

    def choices(key: str, values: Sequence[object]) -> list[dict[str, object]]:
        default = draw(st.integers(min_value=0, max_value=len(values) - 1))
        return [
            {"key": f"c{place}", "name": f"{key} {place}", "default": place == default, key: value}
            for place, value in enumerate(values)
        ]

    def several(key: str, one: st.SearchStrategy[object]) -> list[dict[str, object]]:
        return choices(key, draw(st.lists(one, min_size=2, max_size=4)))

    amounts = st.tuples(AMOUNTS, AMOUNTS).map(
        lambda pair: {"guarantee": {"cpu": f"{pair[0]}m", "memory": f"{pair[1]}Mi"}}
    )
    made: dict[str, object] = {"slug": "any", "name": "Any", "default": True}
    options: dict[str, object] = {}
    match draw(st.sampled_from(["fixed", "size", "cpu and memory", "memory"])):
        case "fixed":
            made["resources"] = draw(amounts)
        case "size":
            options["size"] = several("resources", amounts)
        case "memory":
            made["resources"] = {"guarantee": {"cpu": f"{draw(AMOUNTS)}m"}}
            options["memory"] = several("memory", AMOUNTS.map(lambda size: {"guarantee": f"{size}Mi"}))
        case _:
            options["cpu"] = several("cpu", AMOUNTS.map(lambda cpu: {"guarantee": f"{cpu}m"}))
            options["memory"] = several("memory", AMOUNTS.map(lambda size: {"guarantee": f"{size}Mi"}))
    if draw(st.booleans()):
        options["image"] = several("image", st.sampled_from(site_profiles.NAMES))
    else:
        made["image"] = draw(st.sampled_from(site_profiles.NAMES))
    if draw(st.booleans()):
        options["gpu"] = several("gpu", st.sampled_from(GPU_CHOICES))
    elif (gpu := draw(st.sampled_from(GPU_CHOICES))) is not None:
        made["gpu"] = gpu
    return {**made, "options": options}


def said(
    made: Mapping[str, object], chosen: Mapping[str, str]
) -> tuple[dict[str, object], Mapping[str, object] | None]:
    """Return guaranteed amounts and GPU of a combination, read off the profile as it is written."""
    options = cast("Mapping[str, Sequence[Mapping[str, object]]]", made["options"])

    def picked(option: str) -> Mapping[str, object]:
        return next(each for each in options[option] if each["key"] == chosen[option])

    found = dict(cast("Mapping[str, object]", at(made, "resources", "guarantee"))) if "resources" in made else {}
    if "size" in options:
        found = dict(cast("Mapping[str, object]", at(picked("size"), "resources", "guarantee")))
    for option in ("cpu", "memory"):
        if option in options:
            found[option] = at(picked(option), option, "guarantee")
    gpu = picked("gpu")["gpu"] if "gpu" in options else made.get("gpu")
    return found, cast("Mapping[str, object] | None", gpu)


@given(dialogs(), st.data())
def test_any_combination_of_any_profile_gets_exactly_what_is_declared(
    made: Mapping[str, object], data: st.DataObject
) -> None:
    listing = profile_list(hub(profiles=[made]), SITE_FACTS)
    chosen = data.draw(st.sampled_from(list(combinations(listing[0]))))
    pod, _ = started(listing, {"profile": "any", **chosen})
    amounts, gpu = said(made, chosen)
    requests = {
        "cpu": int(str(amounts["cpu"]).removesuffix("m")) / 1000,
        "memory": int(str(amounts["memory"]).removesuffix("Mi")) * 2**20,
    }
    limits = {} if gpu is None else {RESOURCES[str(gpu["slice"])]: gpu.get("count", 1)}
    assert at(pod, "spec", "containers", 0, "resources") == {"claims": None, "requests": requests, "limits": limits}
    assert ("nvidia.com/gpu" in {each["key"] for each in listed(pod, "spec", "tolerations")}) == (gpu is not None)
    assert (node_labels(pod) is None) == (gpu is None)


@given(dialogs(), st.data())
def test_our_own_reading_of_the_list_is_kubespawners(made: Mapping[str, object], data: st.DataObject) -> None:
    listing = profile_list(hub(profiles=[made]), SITE_FACTS)
    chosen = data.draw(st.sampled_from(list(combinations(listing[0]))))
    _, spawner = started(listing, {"profile": "any", **chosen})
    for name, value in combined(listing[0], chosen).items():
        held = getattr(spawner, name)
        # KubeSpawner reads an amount of memory into bytes.
        is_size = isinstance(value, str) and name.startswith("mem_")
        assert held == (in_bytes(str(value)) if is_size else value), name


def in_bytes(specification: str) -> int:
    return int(specification[:-1]) * {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}[specification[-1]]


# Forged forms


def offered(config: HubConfig, facts: HubFacts, *groups: str) -> tuple[RealSpawner, Callable[[], object]]:
    """Return a member's spawner with the list the hub gives it, and what the hub does before a start."""
    section = SimpleNamespace(profile_list=profile_list(config, facts))
    step = offer_by_group(cast("HubConfiguration", SimpleNamespace(KubeSpawner=section)), profile_groups(config))
    spawner = spawner_of(section.profile_list, *groups)
    return spawner, lambda: asyncio.run(step(cast("Spawner", spawner)))


def form(slug: str, **chosen: str) -> Mapping[str, Sequence[str]]:
    """Return what a browser sends."""
    return {"profile": [slug], **{f"profile-option-{slug}--{option}": [key] for option, key in chosen.items()}}


def test_a_member_sees_their_course_and_what_is_for_everybody() -> None:
    spawner, _ = offered(RWTH, SITE_FACTS, "course-lecture-03", "something-else")
    page = asyncio.run(page_of(spawner))
    assert 'value="lecture-03"' in page
    assert 'value="generic-01"' in page
    assert 'value="lecture-04"' not in page
    assert 'value="generic-13"' not in page


async def page_of(spawner: RealSpawner) -> str:
    shown = getattr(spawner, "_render_options_form_dynamically")  # noqa: B009 - as JupyterHub calls it by options_form
    return await shown(spawner)


def test_what_the_page_offers_may_be_started() -> None:
    spawner, before = offered(WWU, SITE_FACTS)
    spawner.user_options = spawner.options_from_form(form("custom", gpu="slice", image="rstudio"))
    before()
    asyncio.run(spawner.load_user_options())


@pytest.mark.parametrize("slug", ["lecture-04", "generic-13", "no-such", "lecture-03 "])
def test_a_profile_of_another_group_is_refused_by_the_hub_and_by_kubespawner(slug: str) -> None:
    spawner, before = offered(RWTH, SITE_FACTS, "course-lecture-03")
    spawner.user_options = spawner.options_from_form(form(slug))
    with pytest.raises(NoSuchProfileError) as refusal:
        before()
    assert "not among yours" in refusal.value.jupyterhub_message
    with pytest.raises(ValueError, match="No such profile"):
        asyncio.run(spawner.load_user_options())


@pytest.mark.parametrize(
    "options",
    [
        {"profile": "custom", "gpu": "h200"},
        {"profile": "custom", "gpu": ["a100"]},
        {"profile": "custom", "gpu": {"a100": 1}},
        {"profile": "custom", "image--unlisted-choice": "evil.example.org/miner:latest"},
        {"gpu": "h200"},
        {"image--unlisted-choice": "evil.example.org/miner:latest"},
    ],
)
def test_a_choice_the_profile_does_not_offer_is_refused(options: Mapping[str, object]) -> None:
    spawner, before = offered(WWU, SITE_FACTS)
    spawner.user_options = options
    with pytest.raises(NoSuchChoiceError) as refusal:
        before()
    assert "Choose again" in refusal.value.jupyterhub_message


def test_choices_reach_only_what_is_offered_even_without_the_hubs_step() -> None:
    """KubeSpawner alone fails on a forged choice too; what it cannot say is why."""
    spawner, _ = offered(WWU, SITE_FACTS)
    spawner.user_options = {"profile": "custom", "gpu": "h200"}
    with pytest.raises(KeyError):
        asyncio.run(spawner.load_user_options())


def test_who_may_start_nothing_is_told_so() -> None:
    config = hub(profiles=[profile(), profile(slug="course", default=False, groups=["students"])])
    section = SimpleNamespace(profile_list=[profile_list(config, FACTS)[1]])
    step = offer_by_group(cast("HubConfiguration", SimpleNamespace(KubeSpawner=section)), {"course": ["students"]})
    with pytest.raises(NoProfileError):
        asyncio.run(step(cast("Spawner", spawner_of([], "guests"))))
