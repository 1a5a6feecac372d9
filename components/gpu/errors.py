"""Failures of the GPU component's configuration and plans."""

from components.errors import ConfigurationError, NotBuiltError

__all__ = ["GroupsOrUseError", "MpsOnMigError", "UnknownHostError", "UnsupportedSlicingError"]


class GroupsOrUseError(ConfigurationError):
    """A GPU section that cuts no GPUs and names nobody else's, or does both."""

    def __init__(self, *, both: bool) -> None:
        super().__init__(
            what="gpu has both groups and use" if both else "gpu has neither groups nor use",
            remedy="write groups to cut this stack's GPUs, or use to name what another stack offers",
        )


class UnsupportedSlicingError(NotBuiltError):
    """A way of sharing GPUs that exists elsewhere, but not here."""

    def __init__(self, method: str, why: str, built: tuple[str, ...]) -> None:
        super().__init__("slicing", method, why, built)


class MpsOnMigError(ConfigurationError):
    """MPS within MIG instances, which CUDA can do and the device plugin refuses (``internal/plugin/mps.go``)."""

    def __init__(self) -> None:
        super().__init__(
            what="mps on top of MIG is refused by NVIDIA's device plugin",
            remedy="write shared: {<profile>: <replicas>} to share instances in turns, or kind: mps on whole GPUs",
        )


class UnknownHostError(LookupError):
    """A host of a GPU group that the stack does not declare, or that has no GPU."""

    def __init__(self, group: str, host: str) -> None:
        super().__init__(f"gpu.groups.{group}.hosts: {host} is not a host with GPUs")
