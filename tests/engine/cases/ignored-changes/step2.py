"""What is ignored changes, and beside it what is not."""

from pulumi import ResourceOptions
from pulumi_command import local

whole = local.Command("whole", create="echo 2", opts=ResourceOptions(ignore_changes=["create"]))
inside = local.Command(
    "inside",
    create="true",
    environment={"OURS": "2", "THEIRS": "2"},
    opts=ResourceOptions(ignore_changes=["environment.THEIRS"]),
)
trigger = local.Command(
    "trigger", create="true", triggers=["a", "c"], opts=ResourceOptions(ignore_changes=["triggers[1]"])
)
strict = local.Command(
    "strict", create="true", environment={"A": "2"}, opts=ResourceOptions(replace_on_changes=["environment.A"])
)
