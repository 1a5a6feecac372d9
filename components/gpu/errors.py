"""Failures of the GPU component's configuration and plans."""

from components.errors import ConfigurationError

__all__ = ["GroupsOrUseError", "LayoutError", "UnknownHostError", "UnsupportedSlicingError"]


class GroupsOrUseError(ConfigurationError):
    """A GPU section that cuts no GPUs and names nobody else's, or does both."""

    def __init__(self, *, both: bool) -> None:
        super().__init__(
            what="gpu has both groups and use" if both else "gpu has neither groups nor use",
            remedy="write groups to cut this stack's GPUs, or use to name what another stack offers",
        )


class UnsupportedSlicingError(ConfigurationError):
    """A way of sharing GPUs that exists elsewhere, but not here yet."""

    def __init__(self, method: str, supported: tuple[str, ...]) -> None:
        super().__init__(
            what=f"slicing by {method} is not supported yet", remedy=f"choose one of {', '.join(supported)}"
        )


class LayoutError(ValueError):
    """A MIG layout that a GPU cannot take, used although the checks refused it."""

    def __init__(self, group: str, what: str) -> None:
        super().__init__(f"gpu.groups.{group}.slicing.layout: {what}")


class UnknownHostError(LookupError):
    """A host of a GPU group that the stack does not declare, or that has no GPU."""

    def __init__(self, group: str, host: str) -> None:
        super().__init__(f"gpu.groups.{group}.hosts: {host} is not a host with GPUs")
