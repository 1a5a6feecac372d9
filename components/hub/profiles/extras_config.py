"""What a profile adds to its servers: variables, tolerations, containers beside them, and where its image is from."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from components.addresses import DnsLabel
from components.hub.errors import FolderError, HubVariableError, VariableNameError
from components.labels import LabelKey, LabelValue
from components.model import Model
from components.nodes.config import TaintEffect

from .resources_config import ProfileResources

__all__ = ["BuildConfig", "Environment", "SidecarConfig", "TokenConfig", "TolerationConfig"]

_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""Names a shell can set (POSIX.1-2017, 8.1, with small letters: ``http_proxy`` and its like)."""
_HUBS_OWN = re.compile(
    r"(JUPYTERHUB_.*|JUPYTER_IMAGE(_SPEC)?|JPY_API_TOKEN|HOME|USER|NVIDIA_VISIBLE_DEVICES|(https?|no|all)_proxy)",
    re.IGNORECASE,
)
"""Variables by which the hub talks to its server (``jupyterhub.spawner.Spawner.get_env``), that say whose it is, or
that follow from the profile's GPU and network class."""


def _variable(name: str) -> str:
    if re.fullmatch(_NAME_PATTERN, name) is None:
        raise VariableNameError(name)
    if _HUBS_OWN.fullmatch(name) is not None:
        raise HubVariableError(name)
    return name


VariableName = Annotated[str, AfterValidator(_variable), WithJsonSchema({"type": "string", "pattern": _NAME_PATTERN})]
"""Name of an environment variable that is neither the hub's nor follows from something else."""


Environment = dict[VariableName, str]
"""Variables by name. Everybody who may look at the hub's release or at the pod reads them: what looks like a secret is
refused wherever it stands in a stack file (`components.secrets.plain_secret`)."""


class TolerationConfig(Model):
    """A taint that servers of the profile tolerate."""

    key: LabelKey = Field(description="The taint's key.")
    value: LabelValue | None = Field(default=None, description="The taint's value; without it, any.")
    effect: TaintEffect | None = Field(default=None, description="The taint's effect; without it, any.")


class SidecarConfig(Model):
    """A container beside the server, in the same pod: unprivileged as the server itself, with no volume."""

    name: DnsLabel = Field(description="Name of the container.")
    image: DnsLabel = Field(description="Name of the image among the environment's pins.")
    command: tuple[str, ...] = Field(default=(), description="Program and arguments; the image's own without it.")
    environment: Environment = Field(default={}, description="Variables; never a secret.")
    resources: ProfileResources = Field(description="CPU and memory; a limit is allowed under either policy.")


class TokenConfig(Model):
    """The short-lived access token of the user's sign-in, in a file for command-line tools."""


class BuildConfig(Model):
    """Where the image is from: a folder with a Dockerfile in a git repository, on top of one of the lab's images."""

    repository: str = Field(
        pattern=r"^https://[^\s#@]+$", description="Address of the git repository, without a user name in it."
    )
    commit: str = Field(
        pattern=r"^[0-9a-f]{40}$", description="The commit, in full: a branch would be another image tomorrow."
    )
    folder: str = Field(default=".", description="Folder of the repository that is built.")
    dockerfile: str = Field(default="Dockerfile", description="The Dockerfile, from that folder on.")
    base: DnsLabel = Field(description="Name of the image in images/images.yaml it is built on.")

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        for key, path in (("folder", self.folder), ("dockerfile", self.dockerfile)):
            if path.startswith("/") or ".." in path.split("/") or re.search(r"[\s#:]", path):
                raise FolderError(key, path)
        return self
