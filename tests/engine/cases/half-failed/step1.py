"""One command fails; what needs it, directly or through another, is not tried."""

from pulumi import ResourceOptions
from pulumi_command import local

sound = local.Command("sound", create="echo sound >> log")
broken = local.Command("broken", create="sleep 1; echo broken >> log; echo spoken; exit 7")
child = local.Command("child", create=broken.stdout.apply(lambda text: f"echo child {text} >> log"))
grandchild = local.Command("grandchild", create="echo grandchild >> log", opts=ResourceOptions(depends_on=[child]))
apart = local.Command("apart", create="echo apart >> log", opts=ResourceOptions(depends_on=[sound]))
