"""deletes one resource by deleting another"""

from pulumi import ResourceOptions
from pulumi_random import RandomId

box = RandomId("box", byte_length=2)
RandomId("content", byte_length=2, opts=ResourceOptions(deleted_with=box))
