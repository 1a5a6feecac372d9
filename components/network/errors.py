"""Failures of the network component."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.quantities import Duration

__all__ = [
    "MissingLabCaKeyError",
    "NoGatewayError",
    "NotBuiltError",
    "RetiredGatewayError",
    "ShortWebsocketError",
    "UnorderedPartsError",
]


class MissingLabCaKeyError(ConfigurationError):
    """Certificates from the lab's own authority, without its key."""

    def __init__(self, config_key: str) -> None:
        super().__init__(
            what="certificates of kind lab-ca have no private key to sign with",
            remedy=f"set it: pulumi config set --secret {config_key} < ca.key",
        )


class NoGatewayError(LookupError):
    """A component asks for the Gateway of a stack that has none; the stack's checks refuse such a file before."""

    def __init__(self) -> None:
        super().__init__("the stack neither builds a gateway (network.gateway) nor uses one (network.use.gateway)")


class NotBuiltError(ConfigurationError):
    """A kind that exists in the field, and not in this program."""

    def __init__(self, part: str, kind: str, built: tuple[str, ...]) -> None:
        super().__init__(what=f"{kind} as {part} is not built here", remedy=f"write {' or '.join(built)}")


class RetiredGatewayError(ConfigurationError):
    """The gateway whose project has ended."""

    def __init__(self) -> None:
        super().__init__(
            what="nginx is retired as gateway: ingress-nginx had its last release (chart 4.15.1) in March 2026 and no "
            "security fixes since",
            remedy="write envoy: services are published by HTTPRoutes (Gateway API) in place of Ingresses",
        )


class ShortWebsocketError(ConfigurationError):
    """A websocket idle time that cuts terminals."""

    def __init__(self, idle: Duration, shortest: Duration) -> None:
        super().__init__(
            what=f"websockets idle for {idle} would be cut",
            remedy=f"write more than {shortest}, such as 8h, so that terminals live",
        )


class UnorderedPartsError(ValueError):
    """Parts of a plan that cannot be put in order: a mistake in the plan, never in a stack file."""

    def __init__(self, waiting: Mapping[str, Sequence[str]]) -> None:
        shown = "; ".join(f"{key} after {', '.join(after)}" for key, after in waiting.items())
        super().__init__(f"these wait for one another or for what is not planned: {shown}")
