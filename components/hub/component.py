"""The lab's JupyterHub as resources.

Children: ``<name>-namespace`` LabNamespace, ``<name>-<volume>-pv`` and ``<name>-<volume>-claim`` per shared volume and
for the folder in which homes are asked for, ``<name>-cookie`` and ``<name>-crypt`` RandomPassword, ``<name>-health``
RandomPassword with the health service's token where there is a test user, ``<name>-keys``
Secret, ``<name>-client`` Secret with the provider's client secret, ``<name>-admission`` HubAdmission,
``<name>-access`` HubAccess, ``<name>-notices`` LabNotices, ``<name>-token`` LabToken where a profile has a token,
``<name>-identities`` Identities where users' ids stand in a table, ``<name>-jupyterhub`` Release.

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
from components.hub.admission.component import HubAdmission, HubAdmissionArgs
from components.hub.admission.planned import admission_plan
from components.hub.identity.component import Identities, IdentitiesArgs
from components.hub.identity.config import ClaimIdentity
from components.hub.identity.plan import BASE as IDENTITIES
from components.hub.limits.component import LabNotices, LabNoticesArgs
from components.hub.operation.plan import DATABASE_PASSWORD_KEY, HEALTH_TOKEN_KEY
from components.hub.pages.component import HubAccess, HubAccessArgs
from components.hub.profiles.component import LabToken, LabTokenArgs
from components.hub.signin.plan import sign_in_secret
from components.namespaces.component import LabNamespace, LabNamespaceArgs
from components.namespaces.plan import scoped
from components.quantities import Duration
from components.storage.claims import claim_shared

from .errors import MissingClientSecretError, MissingDatabasePasswordError
from .facts import HubFacts, RouteTarget
from .flows import proxy_exceptions
from .plan import hub_values, namespace_plan
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
    """The secret that signing in takes (`components.hub.signin.plan.sign_in_secret`): the provider's client secret, the
    directory's password, the first password of native admins; needed where there is one."""
    database_password: pulumi.Input[str] | None = None
    """The PostgreSQL role's password; needed where the database is a server."""
    bind_password: pulumi.Input[str] | None = None
    """Password of the directory's entry that looks up users' ids; needed where one is named."""
    home_requests: SharedVolumes | None = None
    """The folder in which homes are asked for (`Storage.home_requests`); None where nobody has to."""
    contact: str = ""
    """Whom people are to ask where the section names nobody."""
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
    MissingDatabasePasswordError
        If the database is on a server and its password is not given.
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
        around = self._around(namespace)
        planned = self._values(hostname, volumes, requests)
        admission = HubAdmission(
            f"{name}-admission",
            HubAdmissionArgs(
                namespace=namespace.plan.name,
                stack=args.stack,
                policies=planned.apply(
                    lambda values: admission_plan(args.config, args.stack, values, is_simulated=args.is_simulated)
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        release(
            f"{name}-{CHART}",
            args.pins.chart(CHART),
            release_name=scoped(CHART, args.stack),
            namespace=namespace.name,
            values={section: planned.apply(lambda known, key=section: known[key]) for section in SECTIONS},
            # No hub asks for anything before the policies are there.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace, admission, *around, *secrets]),
            timeout=PULL_TIMEOUT,
        )
        self.register_outputs({"namespace": self.namespace, "url": self.url})

    def _around(self, namespace: LabNamespace) -> list[pulumi.Resource]:
        """Make what the hub and users' servers need beside the release."""
        child = pulumi.ResourceOptions(parent=self)
        notices = LabNoticesArgs(config=self._args.config, namespace=namespace.name)
        made: list[pulumi.Resource] = [
            HubAccess(f"{self._name}-access", HubAccessArgs(stack=self._args.stack, namespace=namespace.name), child),
            LabNotices(f"{self._name}-notices", notices, child),
        ]
        if any(profile.token is not None for profile in self._args.config.profiles):
            made.append(LabToken(f"{self._name}-token", LabTokenArgs(namespace=namespace.name), child))
        identity = self._args.config.identity
        if identity is not None and self._has_table():
            identities = IdentitiesArgs(
                config=identity,
                stack=self._args.stack,
                network=self._args.network,
                pins=self._args.pins,
                hub_namespace=namespace.name,
                bind_password=self._args.bind_password,
                priority=self._args.priorities.get("services"),
            )
            made.append(Identities(f"{self._name}-identities", identities, child))
        return made

    def _secrets(self) -> list[Secret]:
        """Make the Secrets the chart names; their content comes from outputs alone."""
        cookie, crypt = self._key("cookie"), self._key("crypt")
        held = {COOKIE_KEY: cookie, CRYPT_KEY: crypt}
        if self._args.config.health_check is not None:
            held[HEALTH_TOKEN_KEY] = self._key("health")
        if self._args.config.database.kind == "postgres" and self._args.database_password is None:
            raise MissingDatabasePasswordError
        if self._args.database_password is not None:
            held[DATABASE_PASSWORD_KEY] = pulumi.Output.secret(self._args.database_password)
        keys = self._secret("keys", KEYS_SECRET, held)
        needed = sign_in_secret(self._args.config.authentication)
        if needed is None:
            return [keys]
        if self._args.client_secret is None:
            raise MissingClientSecretError(needed.path)
        sealed = pulumi.Output.secret(self._args.client_secret)
        return [keys, self._secret("client", CLIENT_SECRET, {needed.key: sealed})]

    def _home_requests(self, namespace: LabNamespace) -> str | None:
        """Claim the folder in which homes are asked for, where there is one; return the claim's name."""
        args = self._args
        if args.home_requests is None or args.is_simulated:
            return None
        (folder,) = claim_shared(self._name, args.home_requests, namespace, self)
        return folder.claim

    def _has_table(self) -> bool:
        """Tell whether users' ids stand in a table; claims of the sign-in need none."""
        identity = self._args.config.identity
        return identity is not None and not isinstance(identity, ClaimIdentity)

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
    ) -> pulumi.Output[Mapping[str, Mapping[str, Value]]]:
        """Return the chart's values by top-level key, known once the names of other components are."""
        args = self._args
        names: dict[str, pulumi.Input[str]] = {"home_class": args.home_class}
        if args.gateway_name is not None and args.gateway_namespace is not None:
            names |= {"gateway": args.gateway_name, "gateway_namespace": args.gateway_namespace}
        names |= {key: args.priorities[key] for key in ("services", "interactive") if key in args.priorities}

        def values(known: dict[str, str]) -> Mapping[str, Mapping[str, Value]]:
            route, gateway = None, args.network.gateway
            if gateway is not None and "gateway" in known:
                route = RouteTarget(
                    gateway=known["gateway"], namespace=known["gateway_namespace"], listener=gateway.listener(SERVICE)
                )
            facts = HubFacts(
                home_class=known["home_class"],
                secret=KEYS_SECRET,
                client_secret=CLIENT_SECRET if sign_in_secret(args.config.authentication) is not None else None,
                contact=args.config.pages.contact or args.contact,
                hostname=hostname,
                route=route,
                volumes=volumes,
                services_priority=known.get("services"),
                servers_priority=known.get("interactive"),
                servers_scheduler=args.scheduler,
                images={pinned: pin.image for pinned, pin in args.pins.images.items()},
                slices=args.slices,
                proxy_exceptions=proxy_exceptions(args.network),
                home_requests=home_requests,
                identities=scoped(IDENTITIES, args.stack) if self._has_table() else None,
                is_simulated=args.is_simulated,
            )
            return hub_values(args.config, facts)

        return pulumi.Output.all(**names).apply(values)
