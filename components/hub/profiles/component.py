"""The program that keeps a token in users' servers, as a resource.

Child: ``<name>`` ConfigMap with ``files/keep_token.py``. Made only where a profile has a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from .token import PROGRAM, PROGRAM_MAP

__all__ = ["LabToken", "LabTokenArgs"]

TYPE_TOKEN = "lab:index:LabToken"  # noqa: S105 - Pulumi's word for a type's name


@dataclass(frozen=True, kw_only=True)
class LabTokenArgs:
    """Inputs of `LabToken`."""

    namespace: pulumi.Input[str]
    """Namespace of the users' servers."""


class LabToken(pulumi.ComponentResource):
    """The program that keeps a token, there to be mounted beside every server of a profile that has one."""

    def __init__(self, name: str, args: LabTokenArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE_TOKEN, name, None, opts)
        program = files("components.hub.files").joinpath(PROGRAM).read_text(encoding="utf-8")
        self.config_map = ConfigMap(
            name,
            metadata=ObjectMetaArgs(name=PROGRAM_MAP, namespace=args.namespace),
            data={PROGRAM: program},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
