"""The root is made anew, deleted first: what cannot outlive it goes before it."""

from pulumi import ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId


def command(
    name: str, triggers: list[object] | None = None, opts: ResourceOptions | None = None, said: object = ""
) -> local.Command:
    return local.Command(
        name,
        create=f"echo make {name} >> log",
        update=f"echo change {name} >> log",
        delete=f"echo drop {name} >> log",
        triggers=triggers,
        environment={"SAID": said},  # pyright: ignore[reportArgumentType] - text or an output of text
        opts=opts,
    )


root = RandomId("root", byte_length=4, keepers={"k": "2"}, opts=ResourceOptions(delete_before_replace=True))
first = command("first", [root.hex])
second = command("second", [first.id])
reader = command("reader", said=root.hex)
waiter = command("waiter", opts=ResourceOptions(depends_on=[first]))
