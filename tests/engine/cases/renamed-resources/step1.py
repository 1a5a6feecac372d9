"""A provider and what it holds, one that will be made anew, and two of which one needs the other."""

import pulumi_command as command
from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId

hands = command.Provider("hands")
local.Command(
    "tool",
    create="echo tool made >> log",
    delete="echo tool gone >> log",
    opts=ResourceOptions(provider=hands),
)
RandomId("drawn", byte_length=2)
ground = local.Command(
    "ground",
    create="echo ground made >> log; echo a",
    delete="echo ground gone >> log",
    triggers=["1"],
    opts=ResourceOptions(delete_before_replace=True),
)
local.Command("tower", create="echo tower made >> log", delete="echo tower gone >> log", triggers=[ground.stdout])
