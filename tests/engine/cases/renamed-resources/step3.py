"""The aliases have done their work and are gone."""

import pulumi_command as command
from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId

hands = command.Provider("arms")
local.Command(
    "instrument",
    create="echo tool made >> log",
    delete="echo tool gone >> log",
    opts=ResourceOptions(provider=hands),
)
RandomId("cast", byte_length=3)
ground = local.Command(
    "base",
    create="echo ground made >> log; echo a",
    delete="echo ground gone >> log",
    triggers=["2"],
    opts=ResourceOptions(delete_before_replace=True),
)
local.Command(
    "keep",
    create="echo tower made >> log",
    delete="echo tower gone >> log",
    triggers=[ground.stdout],
)
