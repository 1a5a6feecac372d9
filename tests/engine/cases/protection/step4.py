"""Now both may go, and one is made anew."""

from pulumi_random import RandomId

treasure = RandomId("treasure", byte_length=2, keepers={"age": "new"})
