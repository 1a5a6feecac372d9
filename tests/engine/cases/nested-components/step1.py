"""Components within components, each with something of its own and an output."""

import pulumi
from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId


class Room(pulumi.ComponentResource):
    def __init__(self, name: str, seats: int, opts: ResourceOptions | None = None) -> None:
        super().__init__("house:index:Room", name, {"seats": seats}, opts)
        self.key = RandomId(f"{name}-key", byte_length=2, opts=ResourceOptions(parent=self))
        self.register_outputs({"seats": seats})


class House(pulumi.ComponentResource):
    def __init__(self, name: str, rooms: list[str], opts: ResourceOptions | None = None) -> None:
        super().__init__("house:index:House", name, None, opts)
        made = [Room(f"{name}-{room}", 4, ResourceOptions(parent=self)) for room in rooms]
        count = pulumi.Output.all(*[room.key.hex for room in made]).apply(len)
        after = ResourceOptions(parent=self, depends_on=made)
        self.plate = local.Command(f"{name}-plate", create=count.apply(lambda n: f"echo {n} rooms"), opts=after)
        self.register_outputs({"plate": self.plate.stdout})


house = House("villa", ["kitchen", "attic"])
pulumi.export("plate", house.plate.stdout)
