"""What a profile may say, what is refused about it, and which images are on the nodes before anybody asks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import pytest
import site_profiles
from hub_labs import FACTS, IMAGES, NETWORK, SLICES, hub, profile

from components.hub.plan import check_networks
from components.hub.profiles.checks import ProfileFacts, Room, check_profiles
from components.hub.profiles.plan import profile_list
from components.hub.profiles.prepull import pre_puller
from components.images import Interface
from components.quantities import Millicores, Size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.hub.config import HubConfig

ROOMS = {
    "gpu1": Room(cpu=Millicores.cores(64), memory=Size.gibibytes(512)),
    "gpu2": Room(cpu=Millicores.cores(32), memory=Size.gibibytes(256)),
    "teach1": Room(cpu=Millicores.cores(8), memory=Size.gibibytes(64)),
}
LAB = ProfileFacts(
    slices=SLICES,
    images=IMAGES,
    interfaces={"minimal-notebook": (Interface.NOTEBOOK,)},
    rooms=ROOMS,
)


NO_SIZE: dict[str, object] = {}


def size(cpu: str, memory: str, limit: Mapping[str, str] | None = None) -> dict[str, object]:
    return {"guarantee": {"cpu": cpu, "memory": memory}, **({"limit": limit} if limit else {})}


def choice(key: str, **changes: object) -> dict[str, object]:
    return {"key": key, "name": key.capitalize(), **changes}


def judged(config: HubConfig, facts: ProfileFacts = LAB) -> list[str]:
    return [str(problem) for problem in check_profiles(config, facts)]


def problems(facts: ProfileFacts = LAB, *, policy: str = "lax", **changes: object) -> list[str]:
    return judged(hub(profiles=[profile(**changes)], resourcePolicy=policy), facts)


def test_the_sites_as_published_are_sound() -> None:
    facts = ProfileFacts(slices=site_profiles.SLICES, images=site_profiles.IMAGES, interfaces=site_profiles.INTERFACES)
    for site in (site_profiles.RWTH, site_profiles.WWU):
        assert judged(hub(**site), facts) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"kind": "rstudio"}, "profiles[0].kind: minimal-notebook has no rstudio, but notebook; "),
        (
            {
                "image": None,
                "options": {
                    "image": [
                        choice("a", image="minimal-notebook", default=True),
                        choice("b", image="minimal-notebook", kind="code-server"),
                    ]
                },
            },
            "profiles[0].options.image[1].kind: minimal-notebook has no code-server, but notebook; ",
        ),
        (
            {"sidecars": [{"name": "notebook", "image": "minimal-notebook", "resources": size("1m", "1Mi")}]},
            "profiles[0].sidecars[0].name: notebook is the name of the server's own container; ",
        ),
        (
            {"sidecars": [{"name": "x", "image": "walltime", "resources": size("1m", "1Mi")}]},
            "profiles[0].sidecars[0].image: no image walltime is pinned; ",
        ),
        ({"network": "exams"}, "profiles[0].network: there is no network class exams; "),
        (
            {"resources": size("65", "1Gi")},
            "profiles[0].resources: 65 CPUs and 1Gi of memory fit on no node; guarantee at most 64 CPUs and 512Gi",
        ),
        (
            # The whole pod has to fit, sidecars with it.
            {
                "resources": size("64", "1Gi"),
                "sidecars": [{"name": "x", "image": "minimal-notebook", "resources": size("100m", "1Mi")}],
            },
            "profiles[0].resources: 64100m CPUs and 1025Mi of memory fit on no node; ",
        ),
        (
            # On some node, but on none with that GPU.
            {"resources": size("16", "1Gi"), "gpu": {"slice": "whole.shared"}},
            "profiles[0].resources: 16 CPUs and 1Gi of memory fit on no node that has whole.shared; ",
        ),
    ],
)
def test_what_does_not_fit_together(changes: Mapping[str, object], what: str) -> None:
    (found,) = judged(hub(profiles=[profile(**changes)]))
    assert found.startswith(what)


def test_each_size_is_held_against_each_gpu() -> None:
    options = {
        "size": [
            choice("small", default=True, resources=size("2", "4Gi")),
            choice("large", resources=size("48", "256Gi")),
        ],
        "gpu": [
            choice("none", default=True),
            choice("mig", gpu={"slice": "1g.10gb"}),
            choice("t4", gpu={"slice": "whole.shared"}),
        ],
    }
    (found,) = problems(resources=NO_SIZE, options=options)
    assert found.startswith("profiles[0].options: 48 CPUs and 256Gi of memory fit on no node that has whole.shared; ")
    assert problems(dataclasses.replace(LAB, rooms={}), resources=NO_SIZE, options=options) == []
    unknown: Mapping[str, Room | None] = {**ROOMS, "teach1": None}
    assert problems(dataclasses.replace(LAB, rooms=unknown), resources=NO_SIZE, options=options) == []


@pytest.mark.parametrize("policy", ["lax", "strict"])
def test_every_choice_obeys_the_policy(policy: str) -> None:
    limit = {"cpu": "4", "memory": "8Gi"}
    sizes = [
        choice("free", default=True, resources=size("1", "1Gi")),
        choice("bound", resources=size("1", "1Gi", limit)),
    ]
    found = problems(policy=policy, resources=NO_SIZE, options={"size": sizes})
    wrong = {"lax": "[1]", "strict": "[0]"}[policy]
    places = [f"profiles[0].options.size{wrong}.resources.limit.{key}" for key in ("cpu", "memory")]
    assert [problem.split(": ")[0] for problem in found] == places


def test_every_amount_obeys_the_policy() -> None:
    options = {
        "cpu": [choice("a", default=True, cpu={"guarantee": 1}), choice("b", cpu={"guarantee": 1, "limit": 2})],
    }
    found = problems(resources={"guarantee": {"memory": "1Gi"}}, options=options)
    assert [problem.split(": ")[0] for problem in found] == ["profiles[0].options.cpu[1].cpu.limit"]


def test_an_image_that_is_yet_to_be_built_says_how() -> None:
    build = {"repository": "https://git.lab.org/x.git", "commit": "a" * 40, "base": "gpu"}
    (found,) = problems(image="zzz", build=build)
    assert found.endswith("or build it (docs/profiles.md) and pin its digest in stacks/pins")


def test_a_class_opens_nothing_that_stays_closed() -> None:
    pods = {"name": "pods", "networks": ["10.244.7.0/24"], "ports": [80]}
    proxy = {"address": "10.96.0.10", "port": 3128}
    classes = {"a": {"internet": "none", "allow": [pods]}, "b": {"internet": "proxy", "proxy": proxy}}
    found = [str(problem) for problem in check_networks(hub(network={"classes": classes}), NETWORK)]
    assert [problem.split(": ")[0] for problem in found] == [
        "network.classes.a.allow[0].networks[0]",
        "network.classes.b.proxy.address",
    ]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"image": None}, "the profile says no image"),
        ({"resources": None}, "valid dictionary or instance"),
        (
            {
                "options": {"size": [choice("a", default=True, resources=NO_SIZE), choice("a", resources=NO_SIZE)]},
                "resources": NO_SIZE,
            },
            "two choices of size have the key a",
        ),
        (
            {"options": {"size": [choice("a", default=True, resources=NO_SIZE)]}, "resources": NO_SIZE},
            "size offers a single choice",
        ),
        (
            {
                "options": {
                    "size": [choice("a", default=True, resources=NO_SIZE), choice("b", resources=NO_SIZE)],
                    "cpu": [choice("a", default=True, cpu={"guarantee": 1}), choice("b", cpu={"guarantee": 2})],
                },
                "resources": NO_SIZE,
            },
            "neither can be chosen beside them",
        ),
        (
            {"options": {"gpu": [choice("a", default=True), choice("b")]}, "gpu": {"slice": "1g.10gb"}},
            "says its gpu, and lets the user choose it",
        ),
        ({"environment": {"JUPYTERHUB_API_TOKEN": "x"}}, "is the hub's to set"),
        ({"environment": {"https_proxy": "x"}}, "is the hub's to set"),
        ({"environment": {"A B": "x"}}, "no name of an environment variable"),
        ({"token": {"audience": "arc"}}, r"token\.audience\n *Extra inputs are not permitted"),
        (
            {"sidecars": [{"name": "x", "image": "y", "resources": NO_SIZE}] * 2},
            "have the same name",
        ),
        (
            {"options": {"cpu": [choice("a", default=True, cpu={"guarantee": 2, "limit": 1}), choice("b", cpu={})]}},
            "above the limit",
        ),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(changes: Mapping[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        hub(profiles=[profile(**changes)])


def test_the_default_class_has_its_own_place() -> None:
    with pytest.raises(ValueError, match="change those"):
        hub(network={"classes": {"default": {}}})


def test_a_sidecar_is_as_unprivileged_as_the_server() -> None:
    sidecar: dict[str, object] = {
        "name": "clock",
        "image": "minimal-notebook",
        "command": ["python", "-c", "print({1})"],
        "environment": {"FORMAT": "{h}"},
        "resources": size("10m", "16Mi", {"memory": "32Mi"}),
    }
    (entry,) = profile_list(hub(profiles=[profile(sidecars=[sidecar])]), FACTS)
    override = cast("Mapping[str, Sequence[Mapping[str, object]]]", entry["kubespawner_override"])
    (made,) = override["extra_containers"]
    assert made["image"] == str(IMAGES["minimal-notebook"])
    # KubeSpawner reads templates everywhere in it.
    assert made["command"] == ["python", "-c", "print({{1}})"]
    assert made["env"] == [
        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"},
        {"name": "FORMAT", "value": "{{h}}"},
    ]
    assert made["resources"] == {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}}
    context = cast("Mapping[str, object]", made["securityContext"])
    assert context["allowPrivilegeEscalation"] is False
    assert context["runAsNonRoot"] is context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert "volumeMounts" not in made


def pulled(*profiles: object) -> tuple[list[str], Sequence[Mapping[str, object]]]:
    found = pre_puller(hub(profiles=list(profiles)), FACTS)
    assert found["pullProfileListImages"] is False
    names = list(cast("Mapping[str, object]", found["extraImages"]))
    return names, cast("Sequence[Mapping[str, object]]", found["extraTolerations"])


DEFAULT = profile()
GPU = {"gpu": {"slice": "1g.10gb"}, "image": "pytorch-notebook", "slug": "gpu", "default": False}


def test_images_for_gpus_are_not_pulled_onto_every_node() -> None:
    # The default profile's image is the chart's own to pull.
    assert pulled(DEFAULT, profile(**GPU)) == ([], [])


def test_a_popular_image_is_pulled_where_its_servers_run() -> None:
    names, tolerations = pulled(DEFAULT, profile(**GPU, prePull=True))
    assert names == ["pytorch-notebook"]
    assert tolerations == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_an_image_without_a_gpu_is_pulled_unless_it_says_not_to() -> None:
    plain = {"image": "pytorch-notebook", "slug": "plain", "default": False}
    assert pulled(DEFAULT, profile(**plain))[0] == ["pytorch-notebook"]
    assert pulled(DEFAULT, profile(**plain, prePull=False))[0] == []
    tainted = profile(**plain, tolerations=[{"key": "lab.org/big", "value": "yes"}])
    assert pulled(DEFAULT, tainted)[1] == [{"key": "lab.org/big", "operator": "Equal", "value": "yes"}]
