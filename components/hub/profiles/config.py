"""Profiles of the hub section: what users choose from on the spawn page."""

from collections.abc import Sequence
from itertools import product
from typing import Self

from pydantic import Field, model_validator

from components.addresses import DnsLabel
from components.hub.errors import SaidNowhereError, SaidTwiceError, SidecarTwiceError
from components.images import Interface
from components.model import Model
from components.quantities import Duration

from .extras_config import BuildConfig, Environment, SidecarConfig, TokenConfig, TolerationConfig
from .options_config import CpuChoice, GpuChoice, ImageChoice, MemoryChoice, ProfileOptions, SizeChoice
from .resources_config import GpuRequest, ProfileResources, ResourceAmounts

__all__ = [
    "BuildConfig",
    "CpuChoice",
    "GpuChoice",
    "GpuRequest",
    "ImageChoice",
    "MemoryChoice",
    "ProfileConfig",
    "ProfileOptions",
    "ProfileResources",
    "ResourceAmounts",
    "SidecarConfig",
    "SizeChoice",
    "TokenConfig",
    "TolerationConfig",
]


class ProfileConfig(Model):
    """One choice of the spawn page."""

    slug: DnsLabel = Field(description="Identifier in addresses and in the hub's API.")
    name: str = Field(min_length=1, max_length=80, description="What users read.")
    description: str = Field(default="", max_length=500, description="One or two sentences under the name.")
    image: DnsLabel | None = Field(
        default=None,
        description="Name of the image among the environment's pins; left out where the user chooses one.",
    )
    kind: Interface = Field(
        default=Interface.NOTEBOOK,
        description="What opens in the browser: `notebook` (JupyterLab), `code-server` or `rstudio`; the image must "
        "have it.",
    )
    build: BuildConfig | None = Field(
        default=None, description="Where the image is built from; without it, it is somebody else's."
    )
    default: bool = Field(default=False, description="Whether it is chosen unless the user chooses.")
    resources: ProfileResources = Field(
        default=ProfileResources(), description="CPU and memory, as far as the user does not choose them."
    )
    gpu: GpuRequest | None = Field(default=None, title="GPU", description="GPU slices; none without it.")
    options: ProfileOptions = Field(
        default=ProfileOptions(), description="What the user chooses: image, size or CPU and memory, GPU."
    )
    groups: tuple[str, ...] = Field(
        default=(),
        description="Groups that see and may start it, roles of the identity provider among them; empty means "
        "everybody.",
    )
    walltime: Duration | None = Field(
        default=None, description="How long its servers may run, busy or not; without it, as long as any server."
    )
    environment: Environment = Field(default={}, description="Variables of its servers; never a secret.")
    tolerations: tuple[TolerationConfig, ...] = Field(
        default=(), description="Taints its servers tolerate, beside that of GPU nodes where they have a GPU."
    )
    sidecars: tuple[SidecarConfig, ...] = Field(default=(), description="Containers beside each of its servers.")
    token: TokenConfig | None = Field(
        default=None,
        description="With `{}` its servers have the access token of their user's sign-in in a file, always fresh, "
        "named by BEARER_TOKEN_FILE; only with the sign-ins oidc and auth0.",
    )
    network: DnsLabel | None = Field(
        default=None,
        title="Network class",
        description="Class of outgoing connections (hub.network.classes); without it, what hub.network says.",
    )
    pre_pull: bool | None = Field(
        default=None,
        description="Whether its images are pulled onto every node ahead of time; without it, where no choice of it "
        "has a GPU.",
    )

    @model_validator(mode="after")
    def _everything_is_said_once(self) -> Self:
        options, guarantee, limit = self.options, self.resources.guarantee, self.resources.limit
        if options.image and self.image is not None:
            raise SaidTwiceError(setting="image", option="image")
        if not options.image and self.image is None:
            raise SaidNowhereError(setting="image", what="the name of a pinned image")
        if self.build is not None and self.image is None:
            raise SaidNowhereError(setting="image", what="the name under which the built image is pinned")
        for key, chosen in (("cpu", options.cpu or options.size), ("memory", options.memory or options.size)):
            said = getattr(guarantee, key) is not None or getattr(limit, key) is not None
            if chosen and said:
                raise SaidTwiceError(setting=f"resources.{key}", option="size" if options.size else key)
        if "resources" not in self.model_fields_set and not options.size and not (options.cpu and options.memory):
            raise SaidNowhereError(setting="resources", what="what a server is guaranteed")
        if options.gpu and self.gpu is not None:
            raise SaidTwiceError(setting="gpu", option="gpu")
        if len({sidecar.name for sidecar in self.sidecars}) != len(self.sidecars):
            raise SidecarTwiceError([sidecar.name for sidecar in self.sidecars])
        return self

    def images(self) -> Sequence[tuple[str, Interface]]:
        """Return the images its servers can have, with what opens in each, the default first."""
        chosen = sorted(self.options.image, key=lambda choice: not choice.default)
        found = [(choice.image, choice.kind or self.kind) for choice in chosen]
        return found if self.image is None else [(self.image, self.kind)]

    @property
    def default_image(self) -> str:
        """Name of the image its servers have unless the user chooses."""
        return self.images()[0][0]

    @property
    def default_gpu(self) -> GpuRequest | None:
        """GPU slices its servers have unless the user chooses."""
        return next((choice.gpu for choice in self.options.gpu if choice.default), self.gpu)

    def gpus(self) -> Sequence[GpuRequest | None]:
        """Return the GPU slices its servers can have; None stands for none."""
        return [choice.gpu for choice in self.options.gpu] or [self.gpu]

    def sizes(self) -> Sequence[ProfileResources]:
        """Return every CPU and memory its servers can have."""
        if self.options.size:
            return [choice.resources for choice in self.options.size]
        found: list[ProfileResources] = []
        for cpu, memory in product(self.options.cpu or (None,), self.options.memory or (None,)):
            size = self.resources if cpu is None else self.resources.with_cpu(cpu.cpu)
            found.append(size if memory is None else size.with_memory(memory.memory))
        return found
