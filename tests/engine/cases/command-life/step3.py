"""Only the reader is left, with nothing to read."""

from pulumi_command import local

reader = local.Command("reader", create="cat >> log; echo >> log", environment={"WHO": "writer"})
