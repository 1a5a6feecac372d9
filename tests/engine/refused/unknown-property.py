"""gives a command assets"""

from pulumi_command import local

local.Command("assets", create="true", asset_paths=["*.txt"])
