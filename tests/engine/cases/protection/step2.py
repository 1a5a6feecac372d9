"""The protected command would have to be replaced, which is refused; the rest stays."""

from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId

treasure = RandomId("treasure", byte_length=2, keepers={"age": "old"}, opts=ResourceOptions(protect=True))
guard = local.Command("guard", create="echo guard", triggers=["b"], opts=ResourceOptions(protect=True))
