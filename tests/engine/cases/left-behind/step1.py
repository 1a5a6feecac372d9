"""A command whose undoing works only once somebody allows it."""

from pulumi_command import local

sticky = local.Command(
    "sticky", create="echo make >> log", delete="test -e allowed && echo drop >> log", triggers=["a"]
)
