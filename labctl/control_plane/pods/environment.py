"""Pod and container -> variables, user, groups, working folder and command of a process. Pure.

What is another than in a container: the program is one of this machine, so PATH is ours; the server is told to listen
at the pod's address alone, since a process has this machine's network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from .errors import MissingContentError, RootUserError, UnknownSourceError

if TYPE_CHECKING:
    from .model import Container, EnvironmentSource, KeyReference, Pod

__all__ = [
    "DEFAULT_GID",
    "DEFAULT_UID",
    "Content",
    "Person",
    "command_of",
    "expanded",
    "field_of",
    "person_of",
    "variables",
]

Content: TypeAlias = Callable[[str, str], Mapping[str, bytes] | None]
"""Kind (``ConfigMap``, ``Secret``) and name -> its keys; None where there is none."""

DEFAULT_UID, DEFAULT_GID = 1000, 100
"""Of a container that says nothing: ``jovyan:users``, the user of Jupyter's images (docker-stacks, ``NB_UID``)."""

SERVICE_URL = "JUPYTERHUB_SERVICE_URL"
"""Where a server of JupyterHub is told to listen (JupyterHub's ``Spawner.get_env``); in a pod at every address."""

_REFERENCE = re.compile(r"\$(?:\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")
_FIELD_WITH_KEY = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whose process it is."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary groups."""


def person_of(pod: Pod, container: Container) -> Person:
    """Return the user and groups of a container's processes.

    Raises
    ------
    RootUserError
        If that would be root.
    """
    of_pod, own = pod.spec.security_context, container.security_context
    uid = next((each for each in (own.run_as_user, of_pod.run_as_user) if each is not None), DEFAULT_UID)
    gid = next((each for each in (own.run_as_group, of_pod.run_as_group) if each is not None), DEFAULT_GID)
    if uid == 0:
        raise RootUserError(container.name)
    groups = {*of_pod.supplemental_groups, *([] if of_pod.fs_group is None else [of_pod.fs_group])}
    return Person(uid=uid, gid=gid, groups=tuple(sorted(groups)))


def field_of(pod: Pod, path: str) -> str:
    """Return a field of the pod as the downward API gives it.

    Raises
    ------
    UnknownSourceError
        If it is none that is known here.
    """
    if keyed := _FIELD_WITH_KEY.fullmatch(path):
        return (pod.metadata.labels if keyed[1] == "labels" else pod.metadata.annotations).get(keyed[2], "")
    fields: Mapping[str, Callable[[], str]] = {
        "metadata.name": lambda: pod.metadata.name,
        "metadata.namespace": lambda: pod.metadata.namespace,
        "metadata.uid": lambda: pod.metadata.uid,
        "metadata.labels": lambda: _listed(pod.metadata.labels),
        "metadata.annotations": lambda: _listed(pod.metadata.annotations),
        "spec.nodeName": lambda: pod.spec.node_name,
        "spec.serviceAccountName": lambda: pod.spec.service_account_name,
        "status.podIP": lambda: pod.status.pod_ip,
        "status.podIPs": lambda: pod.status.pod_ip,
        "status.hostIP": lambda: pod.status.host_ip,
    }
    if path not in fields:
        what = "a value"
        raise UnknownSourceError(what, f"the pod's {path}")
    return fields[path]()


def variables(pod: Pod, container: Container, content: Content) -> dict[str, str]:
    """Return a container's variables, references to earlier ones replaced.

    Parameters
    ----------
    pod
        With its address.
    container
        One of its containers.
    content
        Looks ConfigMaps and Secrets up.

    Raises
    ------
    MissingContentError, UnknownSourceError
        If a variable has no value.
    """
    found: dict[str, str] = {}
    for source in container.env_from:
        for kind, reference in (("ConfigMap", source.config_map_ref), ("Secret", source.secret_ref)):
            if reference is not None:
                keys = _keys(kind, reference, content)
                found |= {f"{source.prefix}{key}": value.decode(errors="replace") for key, value in keys.items()}
    for variable in container.env:
        if variable.value_from is None:
            found[variable.name] = expanded(variable.value or "", found)
        elif (value := _from(variable.name, variable.value_from, pod, content)) is not None:
            found[variable.name] = value
    if SERVICE_URL in found and pod.status.pod_ip:
        found[SERVICE_URL] = _at_address(found[SERVICE_URL], pod.status.pod_ip)
    return found


def expanded(text: str, known: Mapping[str, str]) -> str:
    """Return a text with ``$(NAME)`` replaced by what is known; what is not stays, and ``$$`` is a dollar sign."""

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else known.get(name, match[0])

    return _REFERENCE.sub(replace, text)


def command_of(container: Container, known: Mapping[str, str], default: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command line; `default` stands for that of an image, which is not run here."""
    line = (*container.command, *container.args) or default
    return tuple(expanded(part, known) for part in line)


def _from(name: str, source: EnvironmentSource, pod: Pod, content: Content) -> str | None:
    if source.field_ref is not None:
        return field_of(pod, source.field_ref.field_path)
    for kind, reference in (("ConfigMap", source.config_map_key_ref), ("Secret", source.secret_key_ref)):
        if reference is not None:
            keys = _keys(kind, reference, content)
            if reference.key not in keys:
                if reference.optional:
                    return None
                raise MissingContentError(kind, reference.name, reference.key)
            return keys[reference.key].decode(errors="replace")
    what = f"variable {name}"
    raise UnknownSourceError(what, "the resources of its container")


def _keys(kind: str, reference: KeyReference, content: Content) -> Mapping[str, bytes]:
    keys = content(kind, reference.name)
    if keys is None and not reference.optional:
        raise MissingContentError(kind, reference.name)
    return keys or {}


def _listed(pairs: Mapping[str, str]) -> str:
    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'

    return "".join(f"{key}={quoted(value)}\n" for key, value in sorted(pairs.items()))


def _at_address(url: str, address: str) -> str:
    parts = urlsplit(url)
    port = "" if parts.port is None else f":{parts.port}"
    return urlunsplit(parts._replace(netloc=f"{address}{port}"))
