"""Every one has another name, by a whole URN or by what differed; some change besides."""

import pulumi_command as command
from pulumi import Alias, ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId

hands = command.Provider("arms", opts=ResourceOptions(aliases=[Alias(name="hands")]))
local.Command(
    "instrument",
    create="echo tool made >> log",
    delete="echo tool gone >> log",
    opts=ResourceOptions(
        provider=hands,
        aliases=["urn:pulumi:dev::contract::command:local:Command::nobody", Alias(name="tool")],
    ),
)
was_drawn = "urn:pulumi:dev::contract::random:index/randomId:RandomId::drawn"
RandomId("cast", byte_length=3, opts=ResourceOptions(aliases=[was_drawn]))
ground = local.Command(
    "base",
    create="echo ground made >> log; echo a",
    delete="echo ground gone >> log",
    triggers=["2"],
    opts=ResourceOptions(delete_before_replace=True, aliases=[Alias(name="ground")]),
)
local.Command(
    "keep",
    create="echo tower made >> log",
    delete="echo tower gone >> log",
    triggers=[ground.stdout],
    opts=ResourceOptions(aliases=[Alias(name="tower")]),
)
