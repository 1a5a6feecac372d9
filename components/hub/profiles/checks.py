"""What is wrong with profiles that no single field shows: images, GPU slices, sizes, network classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from components.hub.config import ResourcePolicy
from components.hub.signin.config import Auth0Authentication, OidcAuthentication
from components.problems import Problem
from components.quantities import Millicores, Size

from .plan import matching_slices
from .token import CONTAINER, TOKEN_RESOURCES, TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from components.gpu.slices import Slice
    from components.hub.config import HubConfig
    from components.images import Interface
    from components.problems import Path

    from .config import GpuRequest, ProfileConfig, ProfileResources

__all__ = ["ProfileFacts", "Room", "check_profiles"]

SERVER_CONTAINER = "notebook"
"""Name of the server's own container (KubeSpawner's ``make_pod``)."""


@dataclass(frozen=True, order=True, kw_only=True)
class Room:
    """CPU and memory of a node, before the system takes its part."""

    cpu: Millicores
    memory: Size


@dataclass(frozen=True, kw_only=True)
class ProfileFacts:
    """What the checks of profiles know beside the section."""

    slices: Sequence[Slice] = ()
    """What the stack's GPUs offer."""
    images: Collection[str] = ()
    """Names of the environment's pinned images."""
    interfaces: Mapping[str, Collection[Interface]] = field(default_factory=dict[str, "Collection[Interface]"])
    """What opens in the browser, by image; an image that is not in it is not judged."""
    rooms: Mapping[str, Room | None] = field(default_factory=dict[str, "Room | None"])
    """Room of every node by name, None where its hardware is unknown; empty where the nodes are."""


def check_profiles(config: HubConfig, facts: ProfileFacts) -> Iterator[Problem]:
    """Yield everything wrong with the profiles of a hub section; paths within the section.

    Parameters
    ----------
    config
        The section.
    facts
        What is around it.
    """
    yield from _defaults(config)
    times = Counter(profile.slug for profile in config.profiles)
    for index, profile in enumerate(config.profiles):
        path: Path = ("profiles", index)
        if times[profile.slug] > 1:
            yield Problem(
                path=(*path, "slug"),
                what=f"{times[profile.slug]} profiles have the slug {profile.slug}",
                remedy="give each profile a slug of its own",
            )
        yield from _images(profile, facts, path)
        yield from _token(config, profile, path)
        yield from _network(config, profile, path)
        yield from _sizes(config, profile, path)
        for where, request in _gpus(profile, path):
            yield from _gpu(request, facts.slices, where)
        yield from _room(profile, facts, path)


def _defaults(config: HubConfig) -> Iterator[Problem]:
    defaults = [profile.slug for profile in config.profiles if profile.default]
    if len(defaults) != 1:
        what = f"{len(defaults)} profiles are the default: {', '.join(defaults)}" if defaults else "none is the default"
        yield Problem(path=("profiles",), what=what, remedy="set default: true on exactly one")
    for index, profile in enumerate(config.profiles):
        if profile.default and profile.groups:
            yield Problem(
                path=("profiles", index, "groups"),
                what="the default profile is for some groups only",
                remedy="make a profile for everybody the default",
            )


def _images(profile: ProfileConfig, facts: ProfileFacts, path: Path) -> Iterator[Problem]:
    named: list[tuple[Path, str, Interface | None]] = [
        ((*path, "options", "image", index), choice.image, choice.kind or profile.kind)
        for index, choice in enumerate(profile.options.image)
    ]
    if profile.image is not None:
        named.append((path, profile.image, profile.kind))
    named += [((*path, "sidecars", index), sidecar.image, None) for index, sidecar in enumerate(profile.sidecars)]
    for where, image, kind in named:
        if image not in facts.images:
            otherwise = "pin it in stacks/pins"
            if profile.build is not None and image == profile.image:
                otherwise = "build it (docs/profiles.md) and pin its digest in stacks/pins"
            yield Problem(
                path=(*where, "image"),
                what=f"no image {image} is pinned",
                remedy=_choose(image, facts.images, otherwise),
            )
        elif kind is not None and image in facts.interfaces and kind not in facts.interfaces[image]:
            yield Problem(
                path=(*where, "kind"),
                what=f"{image} has no {kind}, but {', '.join(facts.interfaces[image]) or 'nothing'}",
                remedy=f"take an image that has it, or add {kind} to its interfaces in stacks/pins",
            )
    for index, sidecar in enumerate(profile.sidecars):
        if sidecar.name == SERVER_CONTAINER:
            yield Problem(
                path=(*path, "sidecars", index, "name"),
                what=f"{SERVER_CONTAINER} is the name of the server's own container",
                remedy="give it another",
            )


def _token(config: HubConfig, profile: ProfileConfig, path: Path) -> Iterator[Problem]:
    if profile.token is None:
        return
    if not isinstance(config.authentication, Auth0Authentication | OidcAuthentication):
        yield Problem(
            path=(*path, "token"),
            what=f"the sign-in {config.authentication.kind} has no access token that command-line tools take",
            remedy="set hub.authentication to oidc or auth0, or drop it",
        )
    for index, sidecar in enumerate(profile.sidecars):
        if sidecar.name == CONTAINER:
            yield Problem(
                path=(*path, "sidecars", index, "name"),
                what=f"{CONTAINER} is the name of the container that keeps the token",
                remedy="give it another",
            )
    if TOKEN_VARIABLE in profile.environment:
        yield Problem(
            path=(*path, "environment", TOKEN_VARIABLE),
            what=f"{TOKEN_VARIABLE} follows from token",
            remedy="drop it",
        )


def _network(config: HubConfig, profile: ProfileConfig, path: Path) -> Iterator[Problem]:
    known = config.network.by_class()
    if profile.network is not None and profile.network not in known:
        yield Problem(
            path=(*path, "network"),
            what=f"there is no network class {profile.network}",
            remedy=_choose(profile.network, known, "add it to hub.network.classes"),
        )


def _sizes(config: HubConfig, profile: ProfileConfig, path: Path) -> Iterator[Problem]:
    """Yield limits that contradict the resource policy, and those it needs."""
    options = profile.options
    if options.size:
        for index, size in enumerate(options.size):
            place: Path = (*path, "options", "size", index, "resources", "limit")
            yield from _limit(config, size.resources.limit.cpu, (*place, "cpu"))
            yield from _limit(config, size.resources.limit.memory, (*place, "memory"))
        return
    for index, cpu in enumerate(options.cpu):
        yield from _limit(config, cpu.cpu.limit, (*path, "options", "cpu", index, "cpu", "limit"))
    for index, memory in enumerate(options.memory):
        yield from _limit(config, memory.memory.limit, (*path, "options", "memory", index, "memory", "limit"))
    if not options.cpu:
        yield from _limit(config, profile.resources.limit.cpu, (*path, "resources", "limit", "cpu"))
    if not options.memory:
        yield from _limit(config, profile.resources.limit.memory, (*path, "resources", "limit", "memory"))


def _limit(config: HubConfig, limit: Millicores | Size | None, path: Path) -> Iterator[Problem]:
    if config.resource_policy is ResourcePolicy.LAX and limit is not None:
        yield Problem(
            path=path,
            what="a limit contradicts the lax policy, under which everybody may use the whole node",
            remedy="drop it, or set resourcePolicy: strict",
        )
    if config.resource_policy is ResourcePolicy.STRICT and limit is None:
        yield Problem(
            path=path,
            what="the strict policy needs a limit",
            remedy="give one, or set resourcePolicy: lax",
        )


def _gpus(profile: ProfileConfig, path: Path) -> Iterator[tuple[Path, GpuRequest]]:
    if profile.gpu is not None:
        yield (*path, "gpu"), profile.gpu
    for index, choice in enumerate(profile.options.gpu):
        if choice.gpu is not None:
            yield (*path, "options", "gpu", index, "gpu"), choice.gpu


def _gpu(request: GpuRequest, slices: Sequence[Slice], path: Path) -> Iterator[Problem]:
    named = [offered for offered in slices if offered.name == request.slice]
    matching = matching_slices(request, slices)
    most = max((offered.most_in_one_pod for offered in matching), default=0)
    if not named:
        names = list(dict.fromkeys(offered.name for offered in slices))
        yield Problem(
            path=(*path, "slice"),
            what=f"no node has a slice {request.slice}",
            remedy=_choose(request.slice, names, "cut one in the gpu section"),
        )
    elif not matching:
        models = ", ".join(str(offered.model) for offered in named if offered.model is not None)
        yield Problem(
            path=(*path, "model"),
            what=f"no {request.model} offers {request.slice}",
            remedy=f"choose one of {models}" if models else "drop the model",
        )
    elif request.count > 1 and any(offered.is_shared for offered in matching):
        yield Problem(
            path=(*path, "count"),
            what="several shares of a GPU give no more of it than one",
            remedy="ask for 1",
        )
    elif request.count > most:
        yield Problem(
            path=(*path, "count"),
            what=f"a server runs on one node, and none has {request.count} of {request.slice}",
            remedy=f"ask for at most {most}",
        )


def _room(profile: ProfileConfig, facts: ProfileFacts, path: Path) -> Iterator[Problem]:
    """Yield combinations of size and GPU for which no node is large enough, one per GPU."""
    for request in profile.gpus():
        rooms = _candidates(request, facts)
        if not rooms or None in rooms:
            continue
        known = [room for room in rooms if room is not None]
        lacking = [need for need in _needs(profile) if not any(_fits(need, room) for room in known)]
        if lacking:
            need, largest = max(lacking), max(known)
            gpu = "" if request is None else f" that has {request.slice}"
            yield Problem(
                path=(*path, "options" if profile.options.offered() else "resources"),
                what=f"{need.cpu} CPUs and {need.memory} of memory fit on no node{gpu}",
                remedy=f"guarantee at most {largest.cpu} CPUs and {largest.memory}, what the largest has",
            )


def _candidates(request: GpuRequest | None, facts: ProfileFacts) -> list[Room | None]:
    if request is None:
        return list(facts.rooms.values())
    names = {name for offered in matching_slices(request, facts.slices) for name, _ in offered.nodes}
    return [facts.rooms.get(name) for name in sorted(names)] if facts.rooms else []


def _needs(profile: ProfileConfig) -> Iterator[Room]:
    """Yield what a pod of the profile takes of a node for each size, its sidecars with it."""
    for size in profile.sizes():
        parts: list[ProfileResources] = [size, *(sidecar.resources for sidecar in profile.sidecars)]
        if profile.token is not None:
            parts.append(TOKEN_RESOURCES)
        cpu = sum((part.guarantee.cpu or part.limit.cpu or Millicores(0)).millicores for part in parts)
        memory = sum((part.guarantee.memory or part.limit.memory or Size(0)).bytes for part in parts)
        yield Room(cpu=Millicores(cpu), memory=Size(memory))


def _fits(need: Room, room: Room) -> bool:
    return need.cpu <= room.cpu and need.memory <= room.memory


def _choose(given: str, known: Collection[str], otherwise: str) -> str:
    near = get_close_matches(given, list(known), n=1, cutoff=0.4)
    if near:
        return f"did you mean {near[0]}?"
    return f"choose one of {', '.join(known)}, or {otherwise}" if known else otherwise
