"""brings its own provider"""

import pulumi.dynamic


class Nothing(pulumi.dynamic.ResourceProvider):
    def create(self, props: dict[str, object]) -> pulumi.dynamic.CreateResult:
        return pulumi.dynamic.CreateResult("id", props)


class Own(pulumi.dynamic.Resource):
    def __init__(self, name: str) -> None:
        super().__init__(Nothing(), name, {})


Own("own")
