"""It is made anew; its old self cannot be undone and stays in the state, to be deleted."""

from pulumi_command import local

sticky = local.Command(
    "sticky", create="echo make >> log", delete="test -e allowed && echo drop >> log", triggers=["b"]
)
