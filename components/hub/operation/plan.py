"""Operation of the hub in its chart's terms: where its database is, and the service that may look at its health.

The health service's token opens one user's server and nothing else. That user is made by the hub itself as it starts,
out of a role without scopes (JupyterHub, ``app.py``, ``init_role_assignment``): a token that may make users may also
rename them, and a renamed test user would have somebody's home.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never
from urllib.parse import quote, urlencode

from components.hub.parts import HubFile, HubPart
from components.namespaces.flows import Direction, Flow, NetworkPeer, Port
from components.network.flows import lab_peer

from .config import PostgresDatabase, VolumeDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from components.hub.config import HubConfig
    from components.hub.facts import HubFacts
    from components.model import Value
    from components.network.facts import NetworkFacts
    from components.secrets import SecretRef

__all__ = [
    "DATABASE_PASSWORD_KEY",
    "HEALTH_SERVICE",
    "HEALTH_TOKEN_KEY",
    "database_flows",
    "database_password",
    "database_url",
    "health_profile",
    "health_scopes",
    "operation_part",
]

DATABASE_PASSWORD_KEY: Final = "hub.db.password"  # noqa: S105 - the key's name
"""Key under which the chart looks for the database's password, handed on as PGPASSWORD (``jupyterhub_config.py``)."""
HEALTH_SERVICE: Final = "health"
"""Name of the service at the hub."""
HEALTH_TOKEN_KEY: Final = f"hub.services.{HEALTH_SERVICE}.apiToken"
"""Key under which the chart looks for its token (``jupyterhub_config.py``)."""
AUTHORITY: Final = "/usr/local/etc/jupyterhub/database-authority.pem"
"""Where the lab's own certificate authority is in the hub's container."""
TRUSTED: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Authorities the hub's image trusts (Debian's ``ca-certificates``); libpq asks none of them by itself."""


def operation_part(config: HubConfig, facts: HubFacts) -> HubPart:
    """Return the hub's database and its health service.

    Parameters
    ----------
    config
        Hub section; checked.
    facts
        What is around the hub.
    """
    database = config.database
    files = ()
    match database:
        case VolumeDatabase():
            claim: Value = {
                "accessModes": ["ReadWriteOnce"],
                "storage": str(database.capacity),
                "storageClassName": facts.home_class,
            }
            values: dict[str, Value] = {"type": "sqlite-pvc", "pvc": claim}
        case PostgresDatabase():
            # A database of its own would be copied before an upgrade by the hub; this one is not, so it is asked for.
            values = {"type": "postgres", "url": database_url(database), "upgrade": database.upgrade}
            if database.authority is not None:
                files = (HubFile(target=AUTHORITY, source="database-authority.pem", text=database.authority),)
        case _:
            assert_never(database)
    check = config.health_check
    if check is None:
        return HubPart(hub={"db": values}, files=files)
    return HubPart(
        hub={"db": values},
        files=files,
        settings={"health": {"user": check.user}},
        services={HEALTH_SERVICE: {}},
        roles={
            HEALTH_SERVICE: {
                "description": "Looks at the hub's health, and has one user's server.",
                "scopes": list(health_scopes(check.user)),
                "services": [HEALTH_SERVICE],
            },
            f"{HEALTH_SERVICE}-user": {
                "description": "Gives nothing: it has the hub make its user.",
                "scopes": [],
                "users": [check.user],
            },
        },
    )


def health_scopes(user: str) -> tuple[str, ...]:
    """Return what the health service may: read the hub's version, and one user's server."""
    return ("read:hub", f"servers!user={user}", f"access:servers!user={user}")


def health_profile(config: HubConfig) -> str | None:
    """Return the slug of the profile that the check starts; None where there is no check."""
    if config.health_check is None:
        return None
    return config.health_check.profile or next(profile.slug for profile in config.profiles if profile.default)


def database_url(database: PostgresDatabase) -> str:
    """Return the database's address as SQLAlchemy takes it; the password comes by environment.

    ``verify-full`` seals the connection and holds the server's name against its certificate (libpq, "SSL Support").
    """
    authority = TRUSTED if database.authority is None else AUTHORITY
    options = urlencode({"sslmode": "verify-full", "sslrootcert": authority}, quote_via=quote, safe="/")
    return f"postgresql+psycopg2://{database.user}@{database.host}:{database.port}/{database.name}?{options}"


def database_password(config: HubConfig) -> SecretRef | None:
    """Return the configuration key of the database's password; None where it needs none."""
    return config.database.password if isinstance(config.database, PostgresDatabase) else None


def database_flows(config: HubConfig, network: NetworkFacts, hub: Mapping[str, str]) -> Iterator[Flow]:
    """Yield the flow by which the hub reaches a database outside its namespace.

    Parameters
    ----------
    config
        Hub section; checked.
    network
        The stack's network.
    hub
        Labels of the hub's pods.
    """
    database = config.database
    if isinstance(database, PostgresDatabase):
        peers: tuple[NetworkPeer, ...] = tuple(lab_peer(network, each) for each in database.networks)
        yield Flow(
            name="hub-to-database",
            reason="The hub keeps its state on the lab's PostgreSQL server.",
            direction=Direction.EGRESS,
            pods=hub,
            peers=peers,
            ports=(Port(database.port),),
        )
