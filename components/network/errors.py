"""Failures of the network component."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.quantities import Duration

__all__ = [
    "CertificateKeyError",
    "MissingSecretsError",
    "NoGatewayError",
    "OwnClassError",
    "RetiredGatewayError",
    "ShortWebsocketError",
    "UnorderedPartsError",
]


class CertificateKeyError(ConfigurationError):
    """A private key that is not the one of the certificate it was given for. The message never repeats it."""

    def __init__(self, place: str, config_key: str, why: str) -> None:
        super().__init__(
            what=f"network.certificates.{place}: the private key under {config_key} {why}",
            remedy=f"set the key the certificate was made with: pulumi config set --secret {config_key} < tls.key",
        )


class MissingSecretsError(ConfigurationError):
    """Certificates that need secrets, without a way to them: the component was not told `secret`."""

    def __init__(self, config_keys: tuple[str, ...]) -> None:
        super().__init__(
            what=f"certificates need the secrets {', '.join(config_keys)}, and none are given",
            remedy="pass NetworkingArgs.secret",
        )


class NoGatewayError(LookupError):
    """A component asks for the Gateway of a stack that has none; the stack's checks refuse such a file before."""

    def __init__(self) -> None:
        super().__init__("the stack neither builds a gateway (network.gateway) nor uses one (network.use.gateway)")


class OwnClassError(ConfigurationError):
    """A GatewayClass that is another stack's and this stack's own at once."""

    def __init__(self, class_name: str, stack: str) -> None:
        super().__init__(
            what=f"network.use.gateway.className: {class_name} is the class that stack {stack} gives a gateway of its "
            "own, so it would be used twice",
            remedy="name the class of the stack that owns the gateway, or build one here (network.gateway)",
        )


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
            remedy=f"write {shortest} or more, such as 8h, so that terminals live",
        )


class UnorderedPartsError(ValueError):
    """Parts of a plan that cannot be put in order: a mistake in the plan, never in a stack file."""

    def __init__(self, waiting: Mapping[str, Sequence[str]]) -> None:
        shown = "; ".join(f"{key} after {', '.join(after)}" for key, after in waiting.items())
        super().__init__(f"these wait for one another or for what is not planned: {shown}")
