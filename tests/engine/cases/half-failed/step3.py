"""An update fails, and what else the program wants happens; nothing that it no longer names is deleted."""

from pulumi import ResourceOptions
from pulumi_command import local

sound = local.Command("sound", create="echo sound >> log", update="sleep 1; exit 5", environment={"A": "b"})
broken = local.Command("broken", create="echo repaired >> log; echo spoken")
child = local.Command("child", create=broken.stdout.apply(lambda text: f"echo child {text} >> log"))
late = local.Command("late", create="echo late >> log", opts=ResourceOptions(depends_on=[child]))
