"""What JupyterLab shows of limits, as a resource.

Child: ``<name>`` ConfigMap with the extension of ``files/labextension`` and when it warns.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from .plan import NOTICES, notice_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.hub.config import HubConfig

__all__ = ["LabNotices", "LabNoticesArgs", "notice_files"]

TYPE_TOKEN = "lab:index:LabNotices"  # noqa: S105 - Pulumi's word for a type's name
SOURCES = {"package.json": "package.json", "remoteEntry.js": "static/remoteEntry.js"}
"""Keys of the ConfigMap and their files below ``files/labextension``."""


@dataclass(frozen=True, kw_only=True)
class LabNoticesArgs:
    """Inputs of `LabNotices`."""

    config: HubConfig
    namespace: pulumi.Input[str]
    """Namespace of the users' servers."""


class LabNotices(pulumi.ComponentResource):
    """The extension that warns users in JupyterLab, there to be mounted by every server."""

    def __init__(self, name: str, args: LabNoticesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE_TOKEN, name, None, opts)
        self.config_map = ConfigMap(
            name,
            metadata=ObjectMetaArgs(name=NOTICES, namespace=args.namespace),
            data=notice_files(args.config),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def notice_files(config: HubConfig) -> Mapping[str, str]:
    """Return the ConfigMap's content by key.

    Parameters
    ----------
    config
        Hub section; checked.
    """
    folder = files("components.hub.files").joinpath("labextension")
    found = {key: folder.joinpath(path).read_text(encoding="utf-8") for key, path in SOURCES.items()}
    return {**found, "settings.json": notice_settings(config)}
