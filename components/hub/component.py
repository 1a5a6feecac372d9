"""The lab's JupyterHub as resources.

Children: ``<name>-namespace`` LabNamespace, ``<name>-<volume>-pv`` and ``<name>-<volume>-claim`` per shared volume and
for the folder in which homes are asked for, ``<name>-cookie`` and ``<name>-crypt`` RandomPassword, ``<name>-keys``
Secret, ``<name>-client`` Secret with the provider's client secret, ``<name>-jupyterhub`` Release.

The proxy's token is the chart's own: the chart reads it from the Secret it makes itself and nowhere else
(``hub/deployment.yaml``, ``proxy/deployment.yaml``), and keeps it from one upgrade to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_random import RandomPassword

from components.charts import release
from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.namespaces.plan import scoped
from components.network.gateway import listener_name
from components.quantities import Duration
from components.storage.claims import claim_shared

from .errors import MissingClientSecretError
from .facts import HubFacts, RouteTarget
from .flows import proxy_exceptions
from .plan import hub_values, namespace_plan
from .signin import CLIENT_SECRET_KEY
from .values import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.gpu.slices import Slice
    from components.model import Value
    from components.network.facts import NetworkFacts
    from components.pins import Pins
    from components.storage.claims import SharedVolumes
    from components.storage.plan import SharedMount

    from .config import HubConfig

__all__ = ["Hub", "HubArgs"]

TYPE_TOKEN = "lab:index:Hub"  # noqa: S105 - Pulumi's word for a type's name
CHART = "jupyterhub"
"""Name of the chart among the pins."""
SERVICE = "hub"
"""The hub among the network's published services (``network.hostnames``)."""
KEYS_SECRET = "hub-keys"  # noqa: S105 - the Secret's name
CLIENT_SECRET = "hub-client"  # noqa: S105 - the Secret's name
COOKIE_KEY = "hub.config.JupyterHub.cookie_secret"
"""Key under which the chart's configuration looks for the secret that signs cookies (``jupyterhub_config.py``)."""
CRYPT_KEY = "hub.config.CryptKeeper.keys"
"""Key under which it looks for the key that seals what the authenticator keeps (``jupyterhub_config.py``)."""
KEY_DIGITS = 64
"""Digits of a key: JupyterHub takes 32 bytes in hexadecimal. Ten digits of sixteen leave 212 bits of chance."""
PULL_TIMEOUT = Duration.parse("30m")
"""How long the release may take: its hook first pulls every profile's image onto every node; a GPU image of 10 GB takes
5 to 10 minutes a node (Zero to JupyterHub's documentation), and they come one after the other from one mirror."""


@dataclass(frozen=True, kw_only=True)
class HubArgs:
    """Inputs of `Hub`."""

    config: HubConfig
    stack: str
    pins: Pins
    network: NetworkFacts
    """The network as plain data: flows, host names."""
    shared: SharedVolumes
    """The stack's shared volumes, which the hub's namespace claims for itself."""
    home_class: pulumi.Input[str]
    """StorageClass of homes and of the hub's database."""
    slices: Sequence[Slice] = ()
    """What the GPUs offer."""
    gateway_name: pulumi.Input[str] | None = None
    gateway_namespace: pulumi.Input[str] | None = None
    """The Gateway the hub is published by; both or none."""
    priorities: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, "pulumi.Input[str]"])
    """Names of the stack's priority classes by key; ``services`` and ``interactive`` are used where given."""
    scheduler: str | None = None
    """Scheduler of users' servers; None for the cluster's default."""
    client_secret: pulumi.Input[str] | None = None
    """The identity provider's client secret; needed unless the sign-in is the dummy."""
    home_requests: SharedVolumes | None = None
    """The folder in which homes are asked for (`Storage.home_requests`); None where nobody has to."""
    is_simulated: bool = False
    """Whether nodes have no container runtime: no image is ever pulled, and no storage host makes homes."""
    protect: bool = False
    """Whether the namespace, which holds everybody's homes, refuses to be deleted."""


class Hub(pulumi.ComponentResource):
    """A hub that people can sign in to, in a namespace of its own.

    Raises
    ------
    MissingClientSecretError
        If people sign in with a provider whose client secret is not given.
    MissingPinError
        If the environment does not pin the chart.
    """

    namespace: pulumi.Output[str]
    """Namespace of the hub and of every user's server."""
    url: str | None
    """Where people find it; None where nothing is published."""

    def __init__(self, name: str, args: HubArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE_TOKEN, name, None, opts)
        self._name, self._args = name, args
        hostname = args.network.hostnames.get(SERVICE)
        self.url = None if hostname is None else f"https://{hostname}"
        namespace = LabNamespace(
            f"{name}-namespace",
            LabNamespaceArgs(plan=namespace_plan(args.config, args.network, args.stack), protect=args.protect),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.namespace = namespace.name
        volumes = claim_shared(name, args.shared, namespace, self)
        requests = self._home_requests(namespace)
        secrets = self._secrets()
        release(
            f"{name}-{CHART}",
            args.pins.chart(CHART),
            release_name=scoped(CHART, args.stack),
            namespace=namespace.name,
            values=self._values(hostname, volumes, requests),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace, *secrets]),
            timeout=PULL_TIMEOUT,
        )
        self.register_outputs({"namespace": self.namespace, "url": self.url})

    def _secrets(self) -> list[Secret]:
        """Make the Secrets the chart names; their content comes from outputs alone."""
        cookie, crypt = self._key("cookie"), self._key("crypt")
        keys = self._secret("keys", KEYS_SECRET, {COOKIE_KEY: cookie, CRYPT_KEY: crypt})
        if not self._has_provider():
            return [keys]
        if self._args.client_secret is None:
            raise MissingClientSecretError
        sealed = pulumi.Output.secret(self._args.client_secret)
        return [keys, self._secret("client", CLIENT_SECRET, {CLIENT_SECRET_KEY: sealed})]

    def _home_requests(self, namespace: LabNamespace) -> str | None:
        """Claim the folder in which homes are asked for, where there is one; return the claim's name."""
        args = self._args
        if args.home_requests is None or args.is_simulated:
            return None
        (folder,) = claim_shared(self._name, args.home_requests, namespace, self)
        return folder.claim

    def _has_provider(self) -> bool:
        return self._args.config.authentication.kind != "dummy"

    def _key(self, key: str) -> pulumi.Output[str]:
        made = RandomPassword(
            f"{self._name}-{key}",
            length=KEY_DIGITS,
            lower=False,
            upper=False,
            special=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return made.result

    def _secret(self, key: str, secret_name: str, content: Mapping[str, pulumi.Output[str]]) -> Secret:
        return Secret(
            f"{self._name}-{key}",
            metadata=ObjectMetaArgs(name=secret_name, namespace=self.namespace),
            type="Opaque",
            string_data=content,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _values(
        self, hostname: str | None, volumes: Sequence[SharedMount], home_requests: str | None
    ) -> Mapping[str, pulumi.Output[Mapping[str, Value]]]:
        """Return the chart's values by top-level key, each known once the names of other components are."""
        args = self._args
        names: dict[str, pulumi.Input[str]] = {"home_class": args.home_class}
        if args.gateway_name is not None and args.gateway_namespace is not None:
            names |= {"gateway": args.gateway_name, "gateway_namespace": args.gateway_namespace}
        names |= {key: args.priorities[key] for key in ("services", "interactive") if key in args.priorities}

        def values(known: dict[str, str]) -> Mapping[str, Mapping[str, Value]]:
            route = None
            if "gateway" in known:
                route = RouteTarget(
                    gateway=known["gateway"], namespace=known["gateway_namespace"], listener=listener_name(SERVICE)
                )
            facts = HubFacts(
                home_class=known["home_class"],
                secret=KEYS_SECRET,
                client_secret=CLIENT_SECRET if self._has_provider() else None,
                hostname=hostname,
                route=route,
                volumes=volumes,
                services_priority=known.get("services"),
                servers_priority=known.get("interactive"),
                servers_scheduler=args.scheduler,
                images={pinned: pin.image for pinned, pin in args.pins.images.items()},
                slices=args.slices,
                proxy_exceptions=proxy_exceptions(args.config, args.network),
                home_requests=home_requests,
                is_simulated=args.is_simulated,
            )
            return hub_values(args.config, facts)

        planned = pulumi.Output.all(**names).apply(values)
        return {section: planned.apply(lambda known, key=section: known[key]) for section in SECTIONS}
