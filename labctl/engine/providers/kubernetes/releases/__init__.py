"""Helm releases: ``kubernetes:helm.sh/v3:Release``, installed by helm itself."""

from .charts import ChartSources
from .command import HelmCommand
from .lifecycle import ReleaseLifecycle

__all__ = ["ChartSources", "HelmCommand", "ReleaseLifecycle"]
