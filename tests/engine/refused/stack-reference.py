"""reads another stack's outputs"""

import pulumi

pulumi.StackReference("organization/other/prod")
