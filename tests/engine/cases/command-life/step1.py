"""A command with all its phases, one with only the first, and one that reads what another printed."""

import pulumi
from pulumi_command import local

full = local.Command("full", create="echo made | tee -a log", update="echo changed >> log", delete="echo undone >> log")
once = local.Command("once", create="echo once >> log", triggers=["blue", 1])
reader = local.Command("reader", create="cat >> log; echo >> log", stdin=full.stdout, environment={"WHO": "reader"})
pulumi.export("said", full.stdout)
