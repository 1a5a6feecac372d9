"""names a resource's former name"""

from pulumi import Alias, ResourceOptions
from pulumi_random import RandomId

RandomId("renamed", byte_length=2, opts=ResourceOptions(aliases=[Alias(name="before")]))
