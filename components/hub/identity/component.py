"""Users' identities as resources.

Children: ``<name>-namespace`` LabNamespace ``identities-<stack>``, ``<name>-hub-role`` and ``<name>-hub-binding``, by
which the hub's account reads the table and nothing else. With users in the stack file ``<name>-table`` ConfigMap. With
a directory ``<name>-account`` ServiceAccount, ``<name>-role`` and ``<name>-binding``, ``<name>-password`` Secret,
``<name>-program`` ConfigMap and ``<name>-sync`` Deployment, which makes the table and keeps it in step.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap, Secret, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, Role, RoleBinding, RoleRefArgs, SubjectArgs

from components.hub.errors import MissingBindPasswordError
from components.hub.ids import HUB_ACCOUNT
from components.namespaces.component import LabNamespace, LabNamespaceArgs

from .config import LdapIdentity, StaticIdentity
from .plan import CONFIG_MAP, PROGRAM_FILES, SYNC_IMAGE, identities_namespace, static_table, sync_settings
from .sync import PASSWORD_KEY, SETTINGS_FILE, SyncNames, program_key, sync_deployment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.network.facts import NetworkFacts
    from components.pins import Pins

    from .config import IdentityConfig

__all__ = ["Identities", "IdentitiesArgs"]

TYPE_TOKEN = "lab:index:Identities"  # noqa: S105 - Pulumi's word for a type's name
READER = "hub-reads-identities"
"""Name of the hub's role and its binding."""
NAMES = SyncNames(account="identity-sync", password="identity-sync-password", program="identity-sync-program")  # noqa: S106 - a Secret's name


@dataclass(frozen=True, kw_only=True)
class IdentitiesArgs:
    """Inputs of `Identities`."""

    config: IdentityConfig
    """Where ids come from: static or ldap; with claims there is nothing to make."""
    stack: str
    network: NetworkFacts
    pins: Pins
    hub_namespace: pulumi.Input[str]
    """Namespace of the hub's account."""
    bind_password: pulumi.Input[str] | None = None
    """Password of the directory's entry that looks people up; needed where one is named."""
    priority: pulumi.Input[str] | None = None
    """PriorityClass of the sync's pod; None for the cluster's default."""


class Identities(pulumi.ComponentResource):
    """A table of users' ids that the hub reads and cannot write, or the program that keeps it.

    Raises
    ------
    MissingBindPasswordError
        If the directory is asked by an entry whose password is not given.
    KeyError
        If the sync's image is not pinned, which the checks report first.
    """

    namespace: pulumi.Output[str]
    """Namespace of the table."""

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE_TOKEN, name, None, opts)
        self._name, self._args = name, args
        self._plan = identities_namespace(args.config, args.network, args.stack)
        namespace = LabNamespace(
            f"{name}-namespace",
            LabNamespaceArgs(plan=self._plan),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.namespace = namespace.name
        self._grant("hub-role", "hub-binding", READER, ("get", "watch"), HUB_ACCOUNT, args.hub_namespace)
        if isinstance(args.config, StaticIdentity):
            ConfigMap(
                f"{name}-table",
                metadata=self._metadata(CONFIG_MAP),
                data=dict(static_table(args.config)),
                opts=pulumi.ResourceOptions(parent=self),
            )
        elif isinstance(args.config, LdapIdentity):
            self._sync(args.config, namespace)
        self.register_outputs({"namespace": self.namespace})

    def _sync(self, config: LdapIdentity, namespace: LabNamespace) -> None:
        args, child = self._args, pulumi.ResourceOptions(parent=self)
        account = ServiceAccount(
            f"{self._name}-account",
            metadata=self._metadata(NAMES.account),
            automount_service_account_token=False,
            opts=child,
        )
        # One object by name, creation included: server-side apply names what it creates, so RBAC can tell.
        grants = self._grant(
            "role", "binding", NAMES.account, ("get", "create", "patch"), NAMES.account, self.namespace
        )
        password: Secret | None = None
        if config.directory.bind_dn is not None:
            if args.bind_password is None:
                raise MissingBindPasswordError
            password = Secret(
                f"{self._name}-password",
                metadata=self._metadata(NAMES.password),
                type="Opaque",
                string_data={PASSWORD_KEY: pulumi.Output.secret(args.bind_password)},
                opts=child,
            )
        files = {program_key(path): text for path, text in PROGRAM_FILES.items()}
        files[SETTINGS_FILE] = sync_settings(config, self._plan.name)
        program = ConfigMap(f"{self._name}-program", metadata=self._metadata(NAMES.program), data=files, opts=child)
        sync_deployment(
            f"{self._name}-sync",
            self.namespace,
            NAMES,
            image=str(args.pins.images[SYNC_IMAGE].image),
            every=config.every,
            has_password=password is not None,
            digest=_digest(files),
            priority=args.priority,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[account, *grants, program, namespace, *([] if password is None else [password])],
            ),
        )

    def _grant(  # noqa: PLR0913, PLR0917 - who may do what
        self,
        role_key: str,
        binding_key: str,
        name: str,
        verbs: Sequence[str],
        account: str,
        account_namespace: pulumi.Input[str],
    ) -> tuple[Role, RoleBinding]:
        """Let an account do these things with the table, and with nothing else."""
        child = pulumi.ResourceOptions(parent=self)
        rule = PolicyRuleArgs(api_groups=[""], resources=["configmaps"], resource_names=[CONFIG_MAP], verbs=list(verbs))
        role = Role(f"{self._name}-{role_key}", metadata=self._metadata(name), rules=[rule], opts=child)
        binding = RoleBinding(
            f"{self._name}-{binding_key}",
            metadata=self._metadata(name),
            role_ref=RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=name),
            subjects=[SubjectArgs(kind="ServiceAccount", name=account, namespace=account_namespace)],
            opts=child,
        )
        return role, binding

    def _metadata(self, name: str) -> ObjectMetaArgs:
        return ObjectMetaArgs(name=name, namespace=self.namespace)


def _digest(files: dict[str, str]) -> str:
    """Return a digest of program and settings: with another one the pod is made anew."""
    text = "".join(f"{key}\0{files[key]}\0" for key in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
