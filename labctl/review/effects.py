"""What a plan does beyond resources: commands on hosts, versions of charts, images, outputs. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from labctl.graph.goal import STACK_TYPE

from .reading import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from labctl.graph.values import Plain

    from .reading import ReviewedState, ReviewedStep

__all__ = [
    "HERE",
    "HostCommand",
    "ImageChange",
    "ReleaseChange",
    "host_commands",
    "hosts_of",
    "image_changes",
    "image_references",
    "output_states",
    "release_changes",
]

REMOTE_COMMAND: Final = "command:remote:Command"
LOCAL_COMMAND: Final = "command:local:Command"
RELEASE: Final = "kubernetes:helm.sh/v3:Release"
HERE: Final = "where the update runs"
"""Place of a command that needs no other host."""
NOT_SAID: Final = "not said"
"""Place of a command whose connection is sealed, and whose script and name say nothing of it."""
STEP_HOST: Final = re.compile(r"^readonly STEP_HOST=(['\"]?)(?P<host>[A-Za-z0-9][\w.-]*)\1$", re.MULTILINE)
"""Line of a host step's script that says where it runs (`components.nodes`); its connection is sealed."""
RUNS: Final = {
    Operation.CREATE: "apply",
    Operation.UPDATE: "apply",
    Operation.REPLACE: "apply, then undo the old one",
    Operation.DELETE: "undo",
}
"""What a host does with a step."""
IMAGE_KEY: Final = re.compile(r"(?:^|[a-z_-])image$", re.IGNORECASE)
"""Key of an image, in objects and in values of charts."""
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
VERSIONS: Final = ("tag", "version", "digest", "sha")
"""Keys of an image's version where it is written in parts."""


@dataclass(frozen=True, kw_only=True, order=True)
class HostCommand:
    """One command that would run."""

    host: str
    step: str
    """Name of the resource, less the host's where it has that."""
    runs: str
    """``apply``, ``undo``."""


@dataclass(frozen=True, kw_only=True, order=True)
class ReleaseChange:
    """One release whose chart changes."""

    name: str
    before: str
    """Chart and version; empty: there was none."""
    after: str


@dataclass(frozen=True, kw_only=True, order=True)
class ImageChange:
    """One image that changes, wherever it is used."""

    before: str
    """Reference; empty: it was not used there."""
    after: str
    resources: tuple[str, ...]
    """Logical names of what uses it."""


def host_commands(steps: Sequence[ReviewedStep], hosts: Iterable[str] = ()) -> tuple[HostCommand, ...]:
    """Return every command that `steps` would run, by host.

    Parameters
    ----------
    steps
        The plan.
    hosts
        Hosts that are known otherwise, for commands whose script is sealed.
    """
    running = [step for step in steps if step.operation in RUNS and step.type in (REMOTE_COMMAND, LOCAL_COMMAND)]
    known = {*hosts, *(host for step in running if (host := _said_host(step)))}
    found: list[HostCommand] = []
    for step in running:
        if _is_silent(step):
            continue
        host = HERE if step.type == LOCAL_COMMAND else _said_host(step) or _named_host(step.name, known) or NOT_SAID
        found.append(HostCommand(host=host, step=_step_name(step.name, host), runs=RUNS[step.operation]))
    return tuple(sorted(found))


def hosts_of(resources: Iterable[Mapping[str, Plain]]) -> frozenset[str]:
    """Return the hosts that the scripts among `resources` name."""
    found: set[str] = set()
    for resource in resources:
        inputs = resource.get("inputs")
        if resource.get("type") == REMOTE_COMMAND and isinstance(inputs, dict):
            found.update(match["host"] for match in STEP_HOST.finditer(str(inputs.get("stdin"))))
    return frozenset(found)


def _is_silent(step: ReviewedStep) -> bool:
    """Tell whether a host does nothing: there is no command for what happens."""
    state = step.old if step.operation is Operation.DELETE else step.new
    key = "delete" if step.operation is Operation.DELETE else "create"
    return state is not None and not state.inputs.get(key)


def _said_host(step: ReviewedStep) -> str:
    """Return the host that the script names, or that a connection in the clear has."""
    for state in (step.new, step.old):
        if state is None or step.type == LOCAL_COMMAND:
            continue
        script, connection = state.inputs.get("stdin"), state.inputs.get("connection")
        match = STEP_HOST.search(script) if isinstance(script, str) else None
        if match is not None:
            return match["host"]
        address = connection.get("host") if isinstance(connection, dict) else None
        if isinstance(address, str):
            return address
    return ""


def _named_host(name: str, known: Iterable[str]) -> str:
    """Return the longest of the `known` hosts that `name` has between dashes."""
    fitting = [host for host in known if f"-{host}-" in f"-{name}-"]
    return max(fitting, key=lambda host: (len(host), host), default="")


def _step_name(name: str, host: str) -> str:
    """Return `name` without the component's and the host's own: ``bootstrap-cp-1-system`` is ``system``."""
    _, found, rest = f"-{name}".partition(f"-{host}-")
    return rest if found and rest else name


def release_changes(steps: Iterable[ReviewedStep]) -> tuple[ReleaseChange, ...]:
    """Return every release whose chart comes, goes or changes its version."""
    found: list[ReleaseChange] = []
    for step in steps:
        if step.type == RELEASE and step.operation is not Operation.SAME:
            before = "" if step.operation is Operation.CREATE else _chart(step.old)
            after = "" if step.operation is Operation.DELETE else _chart(step.new)
            if before != after:
                found.append(ReleaseChange(name=step.name, before=before, after=after))
    return tuple(sorted(found))


def _chart(state: ReviewedState | None) -> str:
    if state is None:
        return ""
    chart, version = state.inputs.get("chart"), state.inputs.get("version")
    return " ".join(part for part in (chart, version) if isinstance(part, str) and part)


def image_changes(steps: Iterable[ReviewedStep]) -> tuple[ImageChange, ...]:
    """Return every image that is used in place of another, for the first time, or no longer, by resource.

    A place is a property's path: the same path with another reference is a change from one to the other. What only
    moved to another place, such as in a list, is none.
    """
    users: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for step in steps:
        before = dict(image_references(_inputs(step.old, skip=step.operation is Operation.CREATE)))
        after = dict(image_references(_inputs(step.new, skip=step.operation is Operation.DELETE)))
        for pair in _pairs(before, after):
            users[pair].add(step.name)
    return tuple(
        sorted(ImageChange(before=one, after=other, resources=tuple(sorted(by))) for (one, other), by in users.items())
    )


def _inputs(state: ReviewedState | None, *, skip: bool) -> Plain:
    return None if state is None or skip else dict(state.inputs)


def _pairs(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what goes and what comes in its place, among references that are not on both sides equally often."""
    going = Counter(before.values()) - Counter(after.values())
    coming = Counter(after.values()) - Counter(before.values())
    for path in sorted(before.keys() & after.keys()):
        one, other = before[path], after[path]
        if going[one] and coming[other]:
            going[one] -= 1
            coming[other] -= 1
            yield one, other
    for one in sorted(going.elements()):
        same = [other for other in sorted(coming.elements()) if repository_of(other) == repository_of(one)]
        other = same[0] if same else ""
        if other:
            coming[other] -= 1
        yield one, other
    for other in sorted(coming.elements()):
        yield "", other


def repository_of(reference: str) -> str:
    """Return `reference` without its digest and tag."""
    place = reference.partition("@")[0]
    folder, slash, last = place.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def image_references(value: Plain, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every image in `value` with its path: one text, or the parts that charts take it in."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from image_references(item, f"{path}[{index}]")
        return
    if not isinstance(value, dict):
        return
    parts = _from_parts(value)
    if parts:
        yield path, parts
    for key, item in value.items():
        here = f"{path}.{key}"
        if isinstance(item, str) and IMAGE_KEY.search(key) and item and not parts:
            yield here, item
        else:
            yield from image_references(item, here)


def _from_parts(value: Mapping[str, Plain]) -> str:
    """Return the reference that ``{registry, repository, image, tag, digest}`` make; empty if they make none."""
    texts = {key: item for key, item in value.items() if isinstance(item, str) and item}
    repository = texts.get("repository") or (texts.get("name", "") if "tag" in texts else "")
    version = [texts[key] for key in VERSIONS if key in texts]
    if not repository or not (version or "image" in texts):
        return ""
    place = "/".join(part for part in (texts.get("registry"), repository, texts.get("image")) if part)
    tags = [part for part in version if DIGEST.fullmatch(part) is None]
    digests = [part for part in version if DIGEST.fullmatch(part) is not None]
    return place + "".join(f":{tag}" for tag in tags[:1]) + "".join(f"@{digest}" for digest in digests[:1])


def output_states(
    old: Iterable[ReviewedState], new: Iterable[ReviewedState]
) -> tuple[Mapping[str, Plain], Mapping[str, Plain]]:
    """Return the stack's outputs before and after; empty where there is no stack."""
    return _stack_outputs(old), _stack_outputs(new)


def _stack_outputs(states: Iterable[ReviewedState]) -> Mapping[str, Plain]:
    for state in states:
        if state.type == STACK_TYPE:
            return state.outputs
    return {}
