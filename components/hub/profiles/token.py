"""The access token of a user's sign-in in their servers, for command-line tools: what a profile with ``token`` adds.

A container beside the server asks the hub (``files/lab_hub/tokens.py``) and keeps a file in a volume both have, in
memory. The program comes from a ConfigMap (`components.hub.profiles.component`), so any image with Python 3 will do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.hub.files.lab_hub.access_token import CONTAINER
from components.quantities import Millicores, Size

from .extras_config import SidecarConfig
from .resources_config import ProfileResources, ResourceAmounts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.config import HubConfig
    from components.model import Value

__all__ = [
    "CONTAINER",
    "PROGRAM",
    "PROGRAM_MAP",
    "TOKEN_FILE",
    "TOKEN_RESOURCES",
    "TOKEN_VARIABLE",
    "token_mounts",
    "token_override",
    "token_settings",
    "token_sidecar",
]

VOLUME = "lab-token"
"""Name of the volume that holds the token."""
FOLDER = "/run/lab-token"
"""Where both containers have it; the server's only reads."""
TOKEN_FILE = f"{FOLDER}/token"
"""The token, readable by the server's user alone."""
TOKEN_VARIABLE = "BEARER_TOKEN_FILE"  # noqa: S105 - a variable's name
"""By which tools find the file (WLCG Bearer Token Discovery 1.0)."""
PROGRAM_MAP = "lab-token-program"
"""Name of the ConfigMap with the program, and of the volume."""
PROGRAM = "keep_token.py"
"""The program, below ``components/hub/files``; the ConfigMap's key, too."""
PROGRAM_FOLDER = "/opt/research-compute/lib"
"""Where its container has it."""
READABLE = 0o444
"""Mode of the program."""
TOKEN_RESOURCES = ProfileResources(
    guarantee=ResourceAmounts(cpu=Millicores(5), memory=Size.parse("32Mi")),
    limit=ResourceAmounts(cpu=Millicores(200), memory=Size.parse("64Mi")),
)
"""Of a Python that sleeps: some 20 MiB."""
VOLUME_SIZE = "1Mi"
"""Room for a token; tokens have some KiB."""


def token_sidecar(image: str) -> SidecarConfig:
    """Return the container that keeps the token.

    Parameters
    ----------
    image
        Name of the server's own image among the pins, which its node has in any case.
    """
    command = ("python3", "-I", f"{PROGRAM_FOLDER}/{PROGRAM}", TOKEN_FILE)
    return SidecarConfig(name=CONTAINER, image=image, command=command, resources=TOKEN_RESOURCES)


def token_mounts() -> list[Value]:
    """Return what that container has of the pod's volumes."""
    return [
        {"name": VOLUME, "mountPath": FOLDER},
        {"name": PROGRAM_MAP, "mountPath": PROGRAM_FOLDER, "readOnly": True},
    ]


def token_override() -> dict[str, Value]:
    """Return what the server gets, in KubeSpawner's terms: the volumes, its mount and where the token is."""
    program: Mapping[str, Value] = {"name": PROGRAM_MAP, "defaultMode": READABLE}
    return {
        "volumes": {
            # In memory: a token is on no disk.
            VOLUME: {"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": VOLUME_SIZE}},
            PROGRAM_MAP: {"name": PROGRAM_MAP, "configMap": program},
        },
        "volume_mounts": {VOLUME: {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}},
    }


def token_settings(config: HubConfig) -> Mapping[str, Value]:
    """Return the `TokenSettings` of ``files/lab_hub/tokens.py`` by their key; nothing where no profile has a token."""
    slugs = [profile.slug for profile in config.profiles if profile.token is not None]
    if not slugs:
        return {}
    default = next(profile.slug for profile in config.profiles if profile.default)
    return {"tokens": {"default": default, "profiles": slugs}}
