"""The house has another name, and says which it had; nothing in it has to."""

import pulumi
from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId


class Room(pulumi.ComponentResource):
    def __init__(self, name: str, opts: ResourceOptions | None = None) -> None:
        super().__init__("house:index:Room", name, {"seats": 4}, opts)
        self.key = RandomId(f"{name}-key", byte_length=2, opts=ResourceOptions(parent=self))
        self.register_outputs({"hex": self.key.hex})


class House(pulumi.ComponentResource):
    def __init__(self, name: str, opts: ResourceOptions | None = None) -> None:
        super().__init__("house:index:House", name, None, opts)
        self.hall = Room(f"{name}-hall", ResourceOptions(parent=self))
        lines = local.Command(
            f"{name}-door",
            create="echo opened >> log",
            delete="echo closed >> log",
            triggers=[self.hall.key.hex],
            opts=ResourceOptions(parent=self, depends_on=[self.hall]),
        )
        self.register_outputs({"door": lines.stdout})


house = House("manor", ResourceOptions(aliases=[pulumi.Alias(name="villa")]))
local.Command("bell", create="echo rung >> log", triggers=[house.hall.key.hex])
pulumi.export("hex", house.hall.key.hex)
