"""The full one is given another script, the one with triggers another trigger, the reader another variable."""

import pulumi
from pulumi_command import local

full = local.Command(
    "full", create="echo made otherwise | tee -a log", update="echo changed >> log", delete="echo undone >> log"
)
once = local.Command("once", create="echo once >> log", triggers=["green", 1])
reader = local.Command("reader", create="cat >> log; echo >> log", stdin=full.stdout, environment={"WHO": "writer"})
pulumi.export("said", full.stdout)
