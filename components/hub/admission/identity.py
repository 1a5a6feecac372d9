"""Whose a server is: user, groups and home of its pod against the identity of the user it says it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.hub.config import HomeKey
from components.hub.files.lab_hub.homes import CLAIM_PREFIX, DIGEST_LENGTH
from components.hub.files.lab_hub.wear_identity import IDENTITY_ANNOTATION

from .cel import CONTAINERS, nothing_at_all, text, texts
from .policy import USERNAME_ANNOTATION, ClaimedIds, FixedIds, IdentityObject, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .policy import Ids, ServerPlan

__all__ = [
    "HOME_PREFIXES",
    "container_ids",
    "home_pattern",
    "home_rules",
    "identity_rules",
    "identity_variables",
]

UNASSIGNED_PREFIX = "unassigned-"
"""Beginning of the claim of a server that was given no home (`components.hub.values`)."""
HOME_PREFIXES = (CLAIM_PREFIX, UNASSIGNED_PREFIX)
"""Beginnings of the names of claims with somebody's home."""
_ID = "^[1-9][0-9]{0,9}$"
"""A user or group id that is not root's."""
_PLAIN_NAME = "^[a-z]([-a-z0-9]{0,46}[a-z0-9])?$"
"""A user name KubeSpawner takes for a slug as it is, unless it has two hyphens together (``slugs.safe_slug``)."""
_SLUG = "[a-z]([-a-z0-9]*[a-z0-9])?---[0-9a-f]{8}"
"""Its slug of any other name: the beginning, and of a digest (``slugs.strip_and_hash``)."""


def identity_variables(ids: Ids) -> Mapping[str, str]:
    """Return the variables of whom a server is for and whom it has to run as: ``uid``, ``gid``, ``groups``."""
    named = {"username": f"variables.annotations[?{text(USERNAME_ANNOTATION)}].orValue('')"}
    match ids:
        case FixedIds():
            return {**named, "uid": str(ids.uid), "gid": str(ids.gid)}
        case ClaimedIds():
            first = f"{CONTAINERS}[0]"
            return {
                **named,
                "uid": _effective("runAsUser", first),
                "gid": _effective("runAsGroup", first),
            }
        case IdentityObject():
            return {
                **named,
                "row": f"params.?data[?variables.annotations[?{text(IDENTITY_ANNOTATION)}].orValue('')].orValue('')",
                "fields": "variables.row.split(':')",
                "known": "variables.fields.size() == 4 && variables.username != ''"
                " && variables.fields[0] == variables.username"
                f" && variables.fields[1].matches('{_ID}') && variables.fields[2].matches('{_ID}')",
                "uid": "variables.known ? int(variables.fields[1]) : -1",
                "gid": "variables.known ? int(variables.fields[2]) : -1",
                "groups": "variables.known && variables.fields[3] != ''"
                " ? variables.fields[3].split(',').map(g, int(g.split('=')[1])) : []",
            }


def identity_rules(ids: Ids) -> Iterator[Rule]:
    """Yield what holds of the ids of every container."""
    yield Rule(
        name="username",
        reason="A server nobody is named for could not be held against anybody's identity.",
        expression="variables.username != ''",
        message="it does not say whose it is",
        message_expression=f"'it does not say whose it is: no annotation {USERNAME_ANNOTATION}'",
    )
    match ids:
        case FixedIds():
            yield from _container_ids(str(ids.uid), str(ids.gid), "servers run as")
            yield _groups("[]", f"[{ids.gid}]")
        case ClaimedIds():
            yield from _bounds(ids)
            yield from _container_ids("variables.uid", "variables.gid", "its first container runs as")
        case IdentityObject():
            yield _known(ids)
            yield from _container_ids("variables.uid", "variables.gid", "the user's own is")
            yield _groups("variables.groups", "[]")
            yield Rule(
                name="image-groups",
                reason="Else groups that an image's /etc/group gives the user would count beside the user's own.",
                expression="object.spec.?securityContext.?supplementalGroupsPolicy.orValue('') == 'Strict'",
                message="groups of the image's own would count: supplementalGroupsPolicy is not Strict",
                message_expression="'groups of the image would count: supplementalGroupsPolicy is ' + "
                "object.spec.?securityContext.?supplementalGroupsPolicy.orValue('unset') + ', not Strict'",
            )


def container_ids(containers: str, uid: str, gid: str, whose: str) -> Iterator[Rule]:
    """Yield what holds of the user and the group of some containers, each its own or else its pod's.

    Parameters
    ----------
    containers
        CEL of the list.
    uid, gid
        CEL of what they have to be.
    whose
        What is said before the right id.
    """
    for name, field, wanted in (("user-id", "runAsUser", uid), ("group-id", "runAsGroup", gid)):
        what = "user" if field == "runAsUser" else "group"
        condition = f"{_effective(field, 'c')} == {wanted}"
        yield Rule(
            name=name,
            reason=f"With another {what} id a server would read and write what is another {what}'s.",
            expression=f"{containers}.all(c, {condition})",
            message=f"a container does not run as its user's {what} id",
            message_expression=f"{containers}.filter(c, !({condition})).map(c, 'container ' + c.name + ' runs as "
            f"{what} ' + string({_effective(field, 'c')})).join(', ') + {text(f'; {whose} ')} + string({wanted})",
        )


def home_pattern(names: HomeKey) -> str:
    """Return what the name of every home's claim matches, as a regular expression of RE2."""
    match names:
        case HomeKey.ACCOUNT:
            return f"^{CLAIM_PREFIX}[0-9a-f]{{{DIGEST_LENGTH}}}$"
        case HomeKey.UID:
            return f"^{CLAIM_PREFIX}uid-[1-9][0-9]{{0,9}}$"
        case HomeKey.USERNAME:
            return f"^{CLAIM_PREFIX}({_PLAIN_NAME.strip('^$')}|{_SLUG})$"


def home_rules(names: HomeKey, plan: ServerPlan) -> Iterator[Rule]:
    """Yield what holds of the claims a server mounts: its user's home, and those of the plan.

    Parameters
    ----------
    names
        How homes are named.
    plan
        What servers are made of.
    """
    homes = f"variables.claims.filter(name, !(name in {texts(plan.claims)}))"
    own = _own_home(names)
    yield Rule(
        name="home",
        reason="A server with another user's home would show it all and could change it all.",
        expression=f"{homes}.all(name, {own})",
        message="it mounts a claim that is neither its user's home nor planned",
        message_expression=f"'it mounts ' + {homes}.filter(name, !({own})).join(', ')"
        " + ', which is neither the home of ' + variables.username + ' nor planned'",
    )
    yield Rule(
        name="one-home",
        reason="Where names do not tell whose a home is, a second one can only be somebody else's.",
        expression=f"{homes}.all(name, name == {homes}[0])",
        message="it mounts more than one home",
        message_expression=f"'it mounts more than one home: ' + {homes}.join(', ')",
    )
    read_only = texts(name for name, is_read_only in plan.claims.items() if is_read_only)
    yield nothing_at_all(
        "read-only-claims",
        "A folder that is for reading could be written to.",
        "variables.volumes.filter(v, has(v.persistentVolumeClaim)"
        f" && v.persistentVolumeClaim.claimName in {read_only}"
        " && !v.persistentVolumeClaim.?readOnly.orValue(false)).map(v, v.persistentVolumeClaim.claimName)",
        "it mounts for writing what is planned for reading",
    )


def _own_home(names: HomeKey) -> str:
    match names:
        case HomeKey.UID:
            return f"name == {text(f'{CLAIM_PREFIX}uid-')} + string(variables.uid)"
        case HomeKey.ACCOUNT:
            return f"name.matches({text(home_pattern(names))})"
        case HomeKey.USERNAME:
            plain = f"variables.username.matches('{_PLAIN_NAME}') && !variables.username.contains('--')"
            return (
                f"({plain} ? name == '{CLAIM_PREFIX}' + variables.username : name.matches('^{CLAIM_PREFIX}{_SLUG}$'))"
            )


def _container_ids(uid: str, gid: str, whose: str) -> Iterator[Rule]:
    return container_ids(CONTAINERS, uid, gid, whose)


def _effective(field: str, container: str) -> str:
    """Return the id a container runs with: its own, else its pod's, else -1, which nobody has."""
    return f"{container}.?securityContext.?{field}.orValue(object.spec.?securityContext.?{field}.orValue(-1))"


def _known(ids: IdentityObject) -> Rule:
    return Rule(
        name="identity",
        reason="The hub says whose a server is; that this user has these ids is said by an object it cannot write.",
        expression="variables.known",
        message="its user has no identity",
        message_expression="variables.row == '' ? 'user ' + variables.username + ' has no identity under ' + "
        f"variables.annotations[?{text(IDENTITY_ANNOTATION)}].orValue('no key') + ' in ConfigMap "
        f"{ids.namespace}/{ids.name}' : 'the identity it names is that of ' + variables.fields[0] + "
        "', and it says it is for ' + variables.username",
    )


def _groups(groups: str, fs_groups: str) -> Rule:
    """Return the rule that a pod's further groups are exactly those of its user."""
    given = "object.spec.?securityContext.?supplementalGroups.orValue([])"
    fs_group = "object.spec.?securityContext.?fsGroup"
    shown = f"{given}.map(g, string(g)).join(', ')"
    return Rule(
        name="groups",
        reason="With a group of others' a server would read and write what they share.",
        expression=f"{given}.all(g, g > 0 && g in {groups}) && {groups}.all(g, g in {given})"
        f" && (!{fs_group}.hasValue() || {fs_group}.orValue(-1) in {fs_groups})",
        message="its groups are not its user's",
        message_expression=f"'its groups are [' + {shown} + '] and fsGroup ' + "
        f"({fs_group}.hasValue() ? string({fs_group}.orValue(-1)) : 'unset') + '; planned are [' + "
        f"{groups}.map(g, string(g)).join(', ') + '] and fsGroup ' + {fs_groups}.map(g, string(g)).join(', ')",
    )


def _bounds(ids: ClaimedIds) -> Iterator[Rule]:
    """Yield the rules for ids that only a claim says: ranges, in which no id of the system's is."""
    context = "object.spec.?securityContext"
    gids = (
        f"([variables.gid] + {context}.?supplementalGroups.orValue([])"
        f" + ({context}.?fsGroup.hasValue() ? [object.spec.securityContext.fsGroup] : []))"
    )
    for name, found, (first, last) in (
        ("user-id-range", "[variables.uid]", ids.uids),
        ("group-id-range", gids, ids.gids),
    ):
        outside = f"{found}.filter(id, id < {first} || id > {last})"
        yield Rule(
            name=name,
            reason="Where only a claim says a user's ids, nothing but bounds can be checked: at least nobody is root.",
            expression=f"{outside}.size() == 0",
            message=f"an id is outside {first} to {last}",
            message_expression=f"'outside the ids of people, {first} to {last}: ' + "
            f"{outside}.map(id, string(id)).join(', ')",
        )
