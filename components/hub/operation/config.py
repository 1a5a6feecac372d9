"""What keeps the hub running: its database, and how its health is looked at."""

from typing import Annotated, Literal, cast

from pydantic import BeforeValidator, Field

from components.addresses import Cidr, DnsName
from components.model import Model
from components.quantities import Size
from components.secrets import SecretRef

__all__ = ["DatabaseConfig", "HealthCheckConfig", "PostgresDatabase", "VolumeDatabase"]

POSTGRES_PORT = 5432
"""PostgreSQL's port (IANA)."""

PostgresName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
"""Name of a database or a role that needs no quotes (PostgreSQL, "Identifiers and Key Words": 63 bytes)."""


class VolumeDatabase(Model):
    """SQLite on a volume of its own, which is among the homes and is copied as they are."""

    kind: Literal["volume"] = Field(default="volume", description="SQLite on a volume.")
    capacity: Size = Field(default=Size.gibibytes(1), description="Capacity of its claim.")


class PostgresDatabase(Model):
    """A PostgreSQL server of the lab's; whoever looks after it backs it up (docs/hub-operation.md)."""

    kind: Literal["postgres"] = Field(description="A PostgreSQL server.")
    host: DnsName = Field(description="DNS name of the server, which its certificate is checked against.")
    port: int = Field(default=POSTGRES_PORT, ge=1, le=65535, description="TCP port.")
    networks: tuple[Cidr, ...] = Field(
        min_length=1, description="Networks with the server: the only ones the hub looks for it in."
    )
    name: PostgresName = Field(default="jupyterhub", description="Name of the database; it exists and is the hub's.")
    user: PostgresName = Field(default="jupyterhub", description="Role the hub signs in as; the database's owner.")
    password: SecretRef = Field(description="Configuration key of the role's password: {secret: hubDatabasePassword}.")
    authority: str | None = Field(
        default=None,
        pattern=r"^-----BEGIN CERTIFICATE-----\n[\s\S]+\n-----END CERTIFICATE-----\n?$",
        title="Certificate authority",
        description="Certificates, as PEM, of the authority that signed the server's, where it is the lab's own; "
        "without any, the authorities the hub's image trusts. Connections are always sealed and checked.",
    )
    upgrade: bool = Field(
        default=False,
        description="Let a newer hub change the tables, which an older one cannot read then: dump them first. Without "
        "it such a hub does not start.",
    )


def _on_a_volume(value: object) -> object:
    """Return a section without a kind as that of a volume."""
    if isinstance(value, dict) and "kind" not in value:
        return {"kind": "volume", **cast("dict[str, object]", value)}
    return value  # pyright: ignore[reportUnknownVariableType] - pydantic judges the rest


DatabaseConfig = Annotated[
    VolumeDatabase | PostgresDatabase, Field(discriminator="kind"), BeforeValidator(_on_a_volume)
]
"""The hub's own database; without a kind, on a volume."""


class HealthCheckConfig(Model):
    """A user nobody is, whose server ``labctl hub check --spawn`` starts, asks and stops."""

    user: str = Field(
        default="health-check",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$",
        description="Its name; where people have ids from a directory, one that the directory has.",
    )
    profile: str | None = Field(default=None, description="Slug of the profile it starts; without one, the default's.")
