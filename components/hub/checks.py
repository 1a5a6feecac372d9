"""What is wrong with the hub section that no single field shows; every problem at once."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

from components.addresses import AddressRange
from components.network.flows import METADATA_NETWORKS
from components.problems import Problem

from .authentication import DummyAuthentication
from .config import HomeKey, ResourcePolicy
from .profiles import matching_slices

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from components.addresses import AnyNetwork
    from components.gpu.slices import Slice
    from components.network.facts import NetworkFacts
    from components.problems import Path

    from .config import HubConfig
    from .profiles_config import ProfileConfig

__all__ = ["check", "check_networks"]

_HOST_NETWORK = "hosts' network"


def check(
    config: HubConfig,
    *,
    slices: Sequence[Slice],
    images: Collection[str],
    hostname: str | None,
    is_simulated: bool,
) -> Iterator[Problem]:
    """Yield everything wrong with a hub section; paths within the section.

    Parameters
    ----------
    config
        The section.
    slices
        What the stack's GPUs offer; empty without any.
    images
        Names of the environment's pinned images.
    hostname
        The hub's public name (``network.hostnames.hub``), or None where it has none.
    is_simulated
        Whether the cluster is simulated: only there may anybody enter without a password.
    """
    yield from _sign_in(config, hostname=hostname, is_simulated=is_simulated)
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
        if profile.image not in images:
            yield Problem(
                path=(*path, "image"),
                what=f"no image {profile.image} is pinned",
                remedy=_choose(profile.image, images, "pin it in stacks/pins"),
            )
        yield from _limits(config, profile, (*path, "resources", "limit"))
        yield from _gpu(profile, slices, (*path, "gpu"))


def check_networks(config: HubConfig, network: NetworkFacts) -> Iterator[Problem]:
    """Yield what of the section opens to notebooks that stays closed to them; paths within the section.

    Parameters
    ----------
    config
        The section.
    network
        The stack's network.
    """
    for index, rule in enumerate(config.network.allow):
        for place, opened in enumerate(rule.networks):
            for what, closed in _closed_networks(network):
                if opened.version == closed.version and AddressRange.of(opened).within(closed):
                    yield Problem(
                        path=("network", "allow", index, "networks", place),
                        what=f"{opened} is of the {what} {closed}, which no notebook ever reaches",
                        remedy="give servers for notebooks addresses outside it",
                    )
    proxy = config.network.proxy
    for what, closed in _closed_networks(network):
        # A proxy on one of the hosts' addresses is a machine of the lab like another; one port of it is opened.
        if proxy is not None and proxy.address in closed and what != _HOST_NETWORK:
            yield Problem(
                path=("network", "proxy", "address"),
                what=f"{proxy.address} is of the {what} {closed}, which no notebook ever reaches",
                remedy="write the address of a proxy on a machine of the lab",
            )


def _closed_networks(network: NetworkFacts) -> Iterator[tuple[str, AnyNetwork]]:
    named = {
        "pod network": network.pods,
        "service network": network.services,
        _HOST_NETWORK: network.hosts,
        "management network": network.management,
        "metadata addresses": METADATA_NETWORKS,
    }
    for what, networks in named.items():
        for closed in networks:
            yield what, closed


def _sign_in(config: HubConfig, *, hostname: str | None, is_simulated: bool) -> Iterator[Problem]:
    if isinstance(config.authentication, DummyAuthentication):
        if not is_simulated:
            yield Problem(
                path=("authentication", "kind"),
                what="anybody may sign in as anybody on a cluster that is real",
                remedy="choose github, google, auth0 or oidc",
            )
        if config.homes.key is HomeKey.ACCOUNT:
            yield Problem(
                path=("homes", "key"),
                what="homes belong to accounts, but the dummy sign-in has none",
                remedy="set key: username",
            )
    elif hostname is None:
        yield Problem(
            path=("authentication",),
            what="the identity provider has no address to send people back to",
            remedy="give network.hostnames.hub",
        )


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


def _limits(config: HubConfig, profile: ProfileConfig, path: Path) -> Iterator[Problem]:
    for key, limit in (("cpu", profile.resources.limit.cpu), ("memory", profile.resources.limit.memory)):
        if config.resource_policy is ResourcePolicy.LAX and limit is not None:
            yield Problem(
                path=(*path, key),
                what="a limit contradicts the lax policy, under which everybody may use the whole node",
                remedy="drop it, or set resourcePolicy: strict",
            )
        if config.resource_policy is ResourcePolicy.STRICT and limit is None:
            yield Problem(
                path=(*path, key),
                what="the strict policy needs a limit",
                remedy="give one, or set resourcePolicy: lax",
            )


def _gpu(profile: ProfileConfig, slices: Sequence[Slice], path: Path) -> Iterator[Problem]:
    request = profile.gpu
    if request is None:
        return
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


def _choose(given: str, known: Collection[str], otherwise: str) -> str:
    near = get_close_matches(given, list(known), n=1, cutoff=0.4)
    if near:
        return f"did you mean {near[0]}?"
    return f"choose one of {', '.join(known)}, or {otherwise}" if known else otherwise
