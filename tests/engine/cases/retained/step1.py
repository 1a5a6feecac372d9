"""Two commands that leave something behind, one of them for good."""

from pulumi import ResourceOptions
from pulumi_command import local

kept = local.Command(
    "kept", create="echo kept >> log", delete="echo lost >> log", opts=ResourceOptions(retain_on_delete=True)
)
gone = local.Command("gone", create="echo gone >> log", delete="echo cleaned >> log")
swapped = local.Command(
    "swapped",
    create="echo swapped >> log",
    delete="echo swept >> log",
    triggers=["a"],
    opts=ResourceOptions(retain_on_delete=True),
)
