"""calls a function of a provider"""

import pulumi

pulumi.runtime.invoke("kubernetes:helm:template", {"chart": "x"})
