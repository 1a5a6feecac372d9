"""Protection is taken off: a change of the state only."""

from pulumi_command import local
from pulumi_random import RandomId

treasure = RandomId("treasure", byte_length=2, keepers={"age": "old"})
guard = local.Command("guard", create="echo guard", triggers=["a"])
