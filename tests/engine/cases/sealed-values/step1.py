"""Secrets at every place: whole, within an object, in a list, made public by mistake through apply, and as outputs."""

import pulumi
from pulumi import Output, ResourceOptions
from pulumi_command import local
from pulumi_random import RandomId

config = pulumi.Config()
given = config.require_secret("given")
inner = Output.secret("canary-inner-7d1")

whole = local.Command("whole", create="cat > /dev/null", stdin=given)
nested = local.Command("nested", create="true", environment={"PLAIN": "open", "HIDDEN": inner})
listed = local.Command("listed", create="true", triggers=["plain", inner])
derived = local.Command("derived", create=given.apply(lambda text: f"echo {len(text)}; : {text}"))
marked = RandomId("marked", byte_length=4, opts=ResourceOptions(additional_secret_outputs=["hex", "dec"]))
pulumi.export("given", given)
pulumi.export("sentence", Output.concat("it is ", inner))
pulumi.export("object", {"open": 1, "shut": inner})
pulumi.export("marked", marked.hex)
pulumi.export("unmarked", marked.byte_length)
