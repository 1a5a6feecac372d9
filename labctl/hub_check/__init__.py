"""A look at a running hub from outside, as its users come to it.

`hub.py` asks, `check.py` looks at one thing after the other, `findings.py` is what came of it.
"""

from .check import Order, check_hub
from .findings import Finding, Look, Report, State

__all__ = ["Finding", "Look", "Order", "Report", "State", "check_hub"]
