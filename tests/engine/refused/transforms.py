"""changes a resource's properties from afar"""

import pulumi
from pulumi import ResourceOptions
from pulumi_random import RandomId


def twice(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult:
    return pulumi.ResourceTransformResult({**args.props, "byteLength": 4}, args.opts)


RandomId("changed", byte_length=2, opts=ResourceOptions(transforms=[twice]))
