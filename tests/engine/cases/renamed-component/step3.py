"""The house is of another type and lies in an estate, and its hall has moved out of it."""

import pulumi
from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId


class Room(pulumi.ComponentResource):
    def __init__(self, name: str, opts: ResourceOptions | None = None) -> None:
        super().__init__("house:index:Room", name, {"seats": 4}, opts)
        self.key = RandomId(f"{name}-key", byte_length=2, opts=ResourceOptions(parent=self))
        self.register_outputs({"hex": self.key.hex})


class Estate(pulumi.ComponentResource):
    def __init__(self, name: str) -> None:
        super().__init__("house:index:Estate", name)
        mansion = ResourceOptions(
            parent=self,
            aliases=[pulumi.Alias(name="manor", type_="house:index:House", parent=pulumi.ROOT_STACK_RESOURCE)],
        )
        self.house = Mansion("manor", mansion)
        self.register_outputs({})


class Mansion(pulumi.ComponentResource):
    def __init__(self, name: str, opts: ResourceOptions | None = None) -> None:
        super().__init__("house:index:Mansion", name, None, opts)
        moved = pulumi.Alias(parent="urn:pulumi:dev::contract::house:index:House::manor")
        self.hall = Room(f"{name}-hall", ResourceOptions(aliases=[moved]))
        lines = local.Command(
            f"{name}-door",
            create="echo opened >> log",
            update="echo painted >> log",
            delete="echo closed >> log",
            triggers=[self.hall.key.hex],
            opts=ResourceOptions(parent=self, depends_on=[self.hall]),
        )
        self.register_outputs({"door": lines.stdout})


estate = Estate("estate")
local.Command("bell", create="echo rung >> log", triggers=[estate.house.hall.key.hex])
pulumi.export("hex", estate.house.hall.key.hex)
