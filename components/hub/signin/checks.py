"""What is wrong with the hub's sign-in that no single field shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.hub.config import HomeKey
from components.hub.identity.directory_config import DirectoryTls
from components.problems import Problem

from .config import (
    Auth0Authentication,
    DummyAuthentication,
    GitHubAuthentication,
    GoogleAuthentication,
    LdapAuthentication,
    NativeAuthentication,
    OidcAuthentication,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from components.hub.config import HubConfig

    from .config import Authentication

__all__ = ["check_signin"]


def check_signin(config: HubConfig, *, hostname: str | None, is_simulated: bool) -> Iterator[Problem]:
    """Yield what is wrong with how people sign in; paths within the hub section.

    Parameters
    ----------
    config
        The section.
    hostname
        The hub's public name, or None where it has none.
    is_simulated
        Whether the cluster is simulated: only there may passwords be missing, or pass in the clear.
    """
    authentication = config.authentication
    if isinstance(authentication, DummyAuthentication):
        yield from _dummy(config, is_simulated=is_simulated)
    elif hostname is None and not isinstance(authentication, LdapAuthentication | NativeAuthentication):
        yield Problem(
            path=("authentication",),
            what="the identity provider has no address to send people back to",
            remedy="give network.hostnames.hub",
        )
    if (
        isinstance(authentication, LdapAuthentication)
        and authentication.directory.tls is DirectoryTls.NONE
        and not is_simulated
    ):
        yield Problem(
            path=("authentication", "directory", "tls"),
            what="passwords would pass in the clear on a cluster that is real",
            remedy="choose ldaps or startTls",
        )
    yield from _groups(config)


def _dummy(config: HubConfig, *, is_simulated: bool) -> Iterator[Problem]:
    if not is_simulated:
        yield Problem(
            path=("authentication", "kind"),
            what="anybody may sign in as anybody on a cluster that is real",
            remedy="choose github, google, auth0, oidc, ldap or native",
        )
    if config.homes.key is HomeKey.ACCOUNT:
        yield Problem(
            path=("homes", "key"),
            what="homes belong to accounts, but the dummy sign-in has none",
            remedy="set key: username",
        )


def _groups(config: HubConfig) -> Iterator[Problem]:
    """Yield the profiles that nobody would ever see, because nobody is told to be in their groups."""
    declared, source, remedy = _known_groups(config.authentication)
    for index, profile in enumerate(config.profiles):
        for place, group in enumerate(profile.groups):
            if declared is not None and group not in declared:
                yield Problem(
                    path=("profiles", index, "groups", place),
                    what=f"nobody is in {group}: {source}",
                    remedy=remedy.format(group=group),
                )


def _known_groups(authentication: Authentication) -> tuple[frozenset[str] | None, str, str]:
    """Return the groups there can be, None where only the provider knows; why no others; and what would add one."""
    match authentication:
        case DummyAuthentication() | NativeAuthentication() | GoogleAuthentication():
            named = frozenset(authentication.groups)
            return named, "authentication.groups does not name it", "add {group}: [...] to authentication.groups"
        case Auth0Authentication() | OidcAuthentication() if authentication.groups_claim is None:
            return frozenset(), "no claim tells groups", "set authentication.groupsClaim"
        case LdapAuthentication() if authentication.directory.groups is None:
            return frozenset(), "nothing says where the directory has groups", "add authentication.directory.groups"
        case GitHubAuthentication() if not authentication.organizations:
            return (
                frozenset(),
                "GitHub tells teams of named organizations alone",
                "name its organization in organizations",
            )
        case _:
            return None, "", ""
