"""Nothing changes but what the stack says of itself."""

import pulumi
from pulumi_random import RandomId

tag = RandomId("tag", byte_length=2)
pulumi.export("size", tag.byte_length.apply(lambda size: size * 8))
pulumi.export("new", {"nested": [1, "two", None, True]})
