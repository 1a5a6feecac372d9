"""takes over something that exists"""

from pulumi import ResourceOptions
from pulumi_random import RandomId

RandomId("found", byte_length=2, opts=ResourceOptions(import_="q6rBXg"))
