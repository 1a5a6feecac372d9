"""Properties, and places within properties, that somebody else looks after."""

from pulumi import ResourceOptions
from pulumi_command import local

whole = local.Command("whole", create="echo 1", opts=ResourceOptions(ignore_changes=["create"]))
inside = local.Command(
    "inside",
    create="true",
    environment={"OURS": "1", "THEIRS": "1"},
    opts=ResourceOptions(ignore_changes=["environment.THEIRS"]),
)
trigger = local.Command(
    "trigger", create="true", triggers=["a", "b"], opts=ResourceOptions(ignore_changes=["triggers[1]"])
)
strict = local.Command(
    "strict", create="true", environment={"A": "1"}, opts=ResourceOptions(replace_on_changes=["environment.A"])
)
