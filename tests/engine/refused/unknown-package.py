"""uses a package that is not there"""

import pulumi


class Bucket(pulumi.CustomResource):
    def __init__(self, name: str) -> None:
        super().__init__("cloud:storage:Bucket", name, {})


Bucket("bucket")
