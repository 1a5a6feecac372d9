"""A house with rooms, each with something drawn and a command that says what happens to it."""

import pulumi
from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId


class Room(pulumi.ComponentResource):
    def __init__(self, name: str, opts: ResourceOptions) -> None:
        super().__init__("house:index:Room", name, None, opts)
        inside = ResourceOptions(parent=self)
        key = RandomId(f"{name}-key", byte_length=2, opts=inside)
        local.Command(
            f"{name}-door",
            create="echo made >> log",
            update="true",
            delete="echo gone >> log",
            triggers=[key.hex],
            opts=inside,
        )
        self.register_outputs({})


class House(pulumi.ComponentResource):
    def __init__(self, name: str, opts: ResourceOptions | None = None) -> None:
        super().__init__("house:index:House", name, None, opts)
        for room in ("hall", "attic"):
            Room(f"{name}-{room}", ResourceOptions(parent=self))
        self.register_outputs({})


House("villa")
