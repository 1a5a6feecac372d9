"""A stack with outputs."""

import pulumi
from pulumi_random import RandomId

tag = RandomId("tag", byte_length=2)
pulumi.export("size", tag.byte_length)
pulumi.export("old", "goes")
