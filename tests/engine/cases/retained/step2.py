"""One is forgotten without being undone, one undone, and one replaced without its old self being undone."""

from pulumi import ResourceOptions
from pulumi_command import local

swapped = local.Command(
    "swapped",
    create="echo swapped >> log",
    delete="echo swept >> log",
    triggers=["b"],
    opts=ResourceOptions(retain_on_delete=True),
)
