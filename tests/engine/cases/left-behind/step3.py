"""Nothing else changes, and what was left behind goes."""

from pulumi_command import local

sticky = local.Command(
    "sticky", create="echo make >> log", delete="test -e allowed && echo drop >> log", triggers=["b"]
)
