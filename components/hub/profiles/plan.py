"""Profiles of the stack file -> the spawn page's list, in KubeSpawner's terms (``profile_list``).

A profile's own settings come first, then those of each choice (``KubeSpawner._load_profile``): dictionaries are merged,
everything else is replaced. So each setting is said either by the profile or by the choices of one option, and every
combination of choices is what it says: `components.hub.profiles.options_config` refuses the rest.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from components.gpu.slices import allowed_node_labels
from components.hub.errors import UnofferedSliceError
from components.hub.network_config import DEFAULT_CLASS
from components.hub.parts import HubPart
from components.images import Interface

from .token import TOKEN_FILE, TOKEN_VARIABLE, token_mounts, token_override, token_settings, token_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.gpu.slices import Slice
    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts
    from components.model import Value
    from components.quantities import Millicores, Size

    from .config import GpuRequest, ProfileConfig, ProfileResources
    from .extras_config import SidecarConfig, TolerationConfig
    from .options_config import ImageChoice

__all__ = [
    "CHART_TOLERATIONS",
    "NETWORK_LABEL",
    "byte_specification",
    "literal",
    "matching_slices",
    "own_tolerations",
    "page_text",
    "profile_groups",
    "profile_list",
    "profile_tolerations",
    "profiles_part",
]

CHART_TOLERATIONS: Sequence[Mapping[str, Value]] = tuple(
    {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
    for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
)
"""What the chart lets every server tolerate (``scheduling.userPods.tolerations``); a profile's list replaces it."""

NETWORK_LABEL = "lab.internal/network"
"""Label of every server with the class of its outgoing connections; policies select by it (`components.hub.flows`)."""

HIDDEN_GPUS = "void"
"""Value of NVIDIA_VISIBLE_DEVICES that hides every GPU (NVIDIA Container Toolkit, "Environment variables"). CUDA images
say ``all``, and would see them all under a runtime that believes them."""

PAGES: Mapping[Interface, str] = {
    Interface.NOTEBOOK: "/lab",
    Interface.CODE_SERVER: "/vscode",
    Interface.RSTUDIO: "/rstudio",
}
"""What opens in the browser: JupyterLab, or the address at which jupyter-server-proxy has what `images/` puts there
(jupyter-vscode-proxy and jupyter-rsession-proxy name them)."""

OPTION_NAMES: Mapping[str, str] = {
    "image": "Image",
    "size": "Size",
    "cpu": "CPU",
    "memory": "Memory",
    "gpu": "GPU",
}
"""What users read before the choices of an option."""

_BYTE_UNITS = (("T", 2**40), ("G", 2**30), ("M", 2**20), ("K", 2**10))
"""Suffixes of JupyterHub's memory settings and their bytes (``jupyterhub.traitlets.ByteSpecification``)."""


def profile_list(config: HubConfig, facts: HubFacts) -> Sequence[Mapping[str, Value]]:
    """Return the spawn page's choices.

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        What is around the hub: pinned images, slices.

    Raises
    ------
    KeyError
        If a profile's image is not pinned, which the checks report first.
    UnofferedSliceError
        If a profile asks for a slice nobody offers, which the checks report first.
    """
    return [_profile(config, profile, facts) for profile in config.profiles]


def profile_groups(config: HubConfig) -> Mapping[str, Sequence[str]]:
    """Return the groups that may see a profile, by its slug; profiles for everybody are not in it."""
    return {profile.slug: list(profile.groups) for profile in config.profiles if profile.groups}


def profiles_part(config: HubConfig) -> HubPart:
    """Return what shows and enforces profiles by group, and hands out tokens (``files/lab_hub/profiles.py``)."""
    groups: dict[str, Value] = {slug: list(names) for slug, names in profile_groups(config).items()}
    return HubPart(settings={"groups": groups, **token_settings(config)})


def matching_slices(request: GpuRequest, slices: Sequence[Slice]) -> Sequence[Slice]:
    """Return the offered slices a request can be met by: its name, and its model where it names one."""
    return [
        offered
        for offered in slices
        if offered.name == request.slice and (request.model is None or offered.model == request.model)
    ]


def page_text(text: str) -> str:
    """Return a plain text so that the spawn page shows it as it is.

    KubeSpawner puts it into the page unescaped, and JupyterHub runs the result as a template once more.

    Examples
    --------
    >>> page_text("R&D {{ x }}")
    'R&amp;D &#123;&#123; x &#125;&#125;'
    """
    return html.escape(text).replace("{", "&#123;").replace("}", "&#125;")


def literal(text: str) -> str:
    """Return a text that KubeSpawner's templates leave as it is (``KubeSpawner._expand_user_properties``).

    Examples
    --------
    >>> literal('{"a": 1}')
    '{{"a": 1}}'
    """
    return text.replace("{", "{{").replace("}", "}}")


def byte_specification(size: Size) -> str:
    """Return an amount of memory as JupyterHub reads it, rounded up to a KiB.

    Its suffixes are powers of 1024 without the ``i``. A bare number would travel through the chart as a float.

    Examples
    --------
    >>> from components.quantities import Size
    >>> byte_specification(Size.parse("1536Mi"))
    '1536M'
    """
    kibibytes = -(-size.bytes // 2**10) * 2**10
    suffix, unit = next((suffix, unit) for suffix, unit in _BYTE_UNITS if kibibytes % unit == 0)
    return f"{kibibytes // unit}{suffix}"


def profile_tolerations(profile: ProfileConfig) -> Sequence[Mapping[str, Value]]:
    """Return what the profile's servers tolerate whatever GPU they have: the chart's own and the profile's."""
    return [*CHART_TOLERATIONS, *own_tolerations(profile)]


def own_tolerations(profile: ProfileConfig) -> Sequence[Mapping[str, Value]]:
    """Return what the profile itself says its servers tolerate."""
    return [_toleration(each) for each in profile.tolerations]


def _profile(config: HubConfig, profile: ProfileConfig, facts: HubFacts) -> Mapping[str, Value]:
    override: dict[str, Value] = {
        **_resources(profile.resources),
        "extra_labels": {NETWORK_LABEL: profile.network or DEFAULT_CLASS},
    }
    if environment := _environment(config, profile, facts):
        override["environment"] = environment
    if profile.image is not None:
        override |= _image(profile.image, profile.kind, facts)
    if profile.token is not None:
        override |= token_override()
    # Where the user chooses the image, the choice says what is beside the server: the token's container has the same.
    if profile.image is not None or profile.token is None:
        override |= _beside(profile, profile.default_image, facts)
    if not profile.options.gpu:
        override = _merged(override, _gpu(profile, profile.gpu, facts.slices))
    entry: dict[str, Value] = {
        "slug": profile.slug,
        "display_name": page_text(profile.name),
        "description": page_text(profile.description),
        "default": profile.default,
        "kubespawner_override": override,
    }
    if options := _options(profile, facts):
        entry["profile_options"] = options
    return entry


def _options(profile: ProfileConfig, facts: HubFacts) -> dict[str, Value]:
    """Return ``profile_options``: by option its name and choices, each with what it changes."""
    options = profile.options
    changes: dict[str, dict[str, Mapping[str, Value]]] = {
        "image": {each.key: _chosen_image(profile, each, facts) for each in options.image},
        "size": {each.key: _resources(each.resources) for each in options.size},
        "cpu": {each.key: _cpu(each.cpu.guarantee, each.cpu.limit) for each in options.cpu},
        "memory": {each.key: _memory(each.memory.guarantee, each.memory.limit) for each in options.memory},
        "gpu": {each.key: _gpu(profile, each.gpu, facts.slices) for each in options.gpu},
    }
    return {
        option: {
            "display_name": OPTION_NAMES[option],
            "choices": {
                choice.key: {
                    "display_name": page_text(choice.name),
                    "default": choice.default,
                    "kubespawner_override": changes[option][choice.key],
                }
                for choice in choices
            },
        }
        for option, choices in options.offered().items()
    }


def _environment(config: HubConfig, profile: ProfileConfig, facts: HubFacts) -> dict[str, Value]:
    """Return the profile's variables, and those that tell programs of its network class's web proxy."""
    access = config.network.by_class()[profile.network or DEFAULT_CLASS]
    told: dict[str, str] = {}
    if access.proxy is not None:
        opened = (str(network) for rule in access.allow for network in rule.networks)
        exceptions = ",".join((*facts.proxy_exceptions, *opened))
        told = {"http_proxy": access.proxy.url, "https_proxy": access.proxy.url, "no_proxy": exceptions}
    # In both spellings, since curl heeds only `http_proxy`.
    spelled = {spelling: value for name, value in told.items() for spelling in (name, name.upper())}
    token = {} if profile.token is None else {TOKEN_VARIABLE: TOKEN_FILE}
    return {name: literal(value) for name, value in {**spelled, **profile.environment, **token}.items()}


def _image(name: str, kind: Interface, facts: HubFacts) -> dict[str, Value]:
    return {"image": str(facts.images[name]), "default_url": PAGES[kind]}


def _chosen_image(profile: ProfileConfig, choice: ImageChoice, facts: HubFacts) -> dict[str, Value]:
    image = _image(choice.image, choice.kind or profile.kind, facts)
    return image if profile.token is None else {**image, **_beside(profile, choice.image, facts)}


def _beside(profile: ProfileConfig, image: str, facts: HubFacts) -> dict[str, Value]:
    """Return the containers beside a server of some image; nothing where there are none."""
    found = [_sidecar(sidecar, facts) for sidecar in profile.sidecars]
    if profile.token is not None:
        found.append({**_sidecar(token_sidecar(image), facts), "volumeMounts": token_mounts()})
    return {"extra_containers": found} if found else {}


def _resources(resources: ProfileResources) -> dict[str, Value]:
    guarantee, limit = resources.guarantee, resources.limit
    return {**_cpu(guarantee.cpu, limit.cpu), **_memory(guarantee.memory, limit.memory)}


def _cpu(guarantee: Millicores | None, limit: Millicores | None) -> dict[str, Value]:
    settings = {"cpu_guarantee": guarantee, "cpu_limit": limit}
    return {name: amount.as_cores for name, amount in settings.items() if amount is not None}


def _memory(guarantee: Size | None, limit: Size | None) -> dict[str, Value]:
    settings = {"mem_guarantee": guarantee, "mem_limit": limit}
    return {name: byte_specification(amount) for name, amount in settings.items() if amount is not None}


def _gpu(profile: ProfileConfig, request: GpuRequest | None, slices: Sequence[Slice]) -> dict[str, Value]:
    tolerations = profile_tolerations(profile)
    if request is None:
        hidden: dict[str, Value] = {"environment": {"NVIDIA_VISIBLE_DEVICES": HIDDEN_GPUS}}
        return hidden | ({"tolerations": tolerations} if profile.tolerations else {})
    matching = matching_slices(request, slices)
    if not matching:
        raise UnofferedSliceError(profile.slug, request.slice)
    offered = matching[0]
    override: dict[str, Value] = {
        # Kubernetes takes an extended resource's request from its limit; the two may not differ.
        "extra_resource_limits": {offered.resource: request.count},
        "extra_labels": dict(offered.pod_labels),
        "tolerations": [*tolerations, offered.toleration],
    }
    # The resource alone does not say which slice it is: a GPU shared by turns and one shared by MPS have the same.
    if allowed := allowed_node_labels(matching):
        terms = [{"key": label, "operator": "In", "values": list(values)} for label, values in allowed.items()]
        override["node_affinity_required"] = [{"matchExpressions": terms}]
    return override


def _merged(one: Mapping[str, Value], other: Mapping[str, Value]) -> dict[str, Value]:
    """Return both, dictionaries of the same name together, as KubeSpawner does with a choice's settings."""
    found = dict(one)
    for key, value in other.items():
        held = found.get(key)
        found[key] = {**held, **value} if isinstance(held, dict) and isinstance(value, dict) else value
    return found


def _toleration(toleration: TolerationConfig) -> Mapping[str, Value]:
    found: dict[str, Value] = {"key": toleration.key, "operator": "Exists"}
    if toleration.value is not None:
        found |= {"operator": "Equal", "value": toleration.value}
    if toleration.effect is not None:
        found["effect"] = str(toleration.effect)
    return found


def _sidecar(sidecar: SidecarConfig, facts: HubFacts) -> Mapping[str, Value]:
    """Return a container for ``extra_containers``; whom it runs as is the pod's to say."""
    guarantee, limit = sidecar.resources.guarantee, sidecar.resources.limit
    amounts = {"requests": guarantee, "limits": limit}
    resources: dict[str, Value] = {
        kind: {key: str(value) for key, value in (("cpu", found.cpu), ("memory", found.memory)) if value is not None}
        for kind, found in amounts.items()
    }
    container: dict[str, Value] = {
        "name": sidecar.name,
        "image": str(facts.images[sidecar.image]),
        "env": [
            {"name": name, "value": literal(value)}
            for name, value in {"NVIDIA_VISIBLE_DEVICES": HIDDEN_GPUS, **sidecar.environment}.items()
        ],
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if sidecar.command:
        container["command"] = [literal(word) for word in sidecar.command]
    return container
