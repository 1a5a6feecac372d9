"""Failures of a change of slices that end the command, each with what to do about it."""

from __future__ import annotations

__all__ = [
    "ApiAwayError",
    "ApiRefusedError",
    "DamagedMapError",
    "DamagedRecordError",
    "DocumentError",
    "KubeconfigError",
    "ResliceError",
    "SupersededError",
]


class ResliceError(Exception):
    """The command cannot go on; the nodes are as the last lines say."""


class DocumentError(ResliceError):
    """A standard input that is not a plan."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"the plan on standard input is wrong at {place or 'its beginning'}: {what}")


class KubeconfigError(ResliceError):
    """No way to the cluster."""

    def __init__(self, variable: str, what: str) -> None:
        super().__init__(f"{variable} {what}; it holds the text of a kubeconfig file")


class ApiAwayError(ResliceError):
    """An API server that gave no answer for longer than the command waits."""

    def __init__(self, seconds: float, last: str) -> None:
        super().__init__(
            f"the API server gave no usable answer for {seconds:.0f} s (last: {last}); nodes stay as they are, and the "
            "same command goes on from there"
        )


class ApiRefusedError(ResliceError):
    """An API server that answers, and does not let us."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the API server refuses: {what}; nodes stay as they are")


class DamagedRecordError(ResliceError):
    """An annotation that this command keeps on a node, and cannot read."""

    def __init__(self, node: str, annotation: str) -> None:
        super().__init__(
            f"annotation {annotation} of node {node} cannot be read; look at the node's labels and whether it is "
            f"cordoned, set both right, then: kubectl annotate node {node} {annotation}-"
        )


class DamagedMapError(ResliceError):
    """A ConfigMap of the operator's that somebody else wrote."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(
            f"ConfigMap {namespace}/{name} is not as this command writes it; keep what you need of it, delete it, "
            "and run again"
        )


class SupersededError(ResliceError):
    """Another run, with another plan, took a node over."""

    def __init__(self, node: str) -> None:
        super().__init__(f"another run with another plan goes on with node {node}; this one ends")
