"""The hosts of a lab as they are reached from here, by every verb that asks them something.

`targets.py` makes SSH targets of the stack file's settings, `reached.py` has all that asking needs of one lab.
"""

from .errors import UnknownHostError
from .reached import LabHosts, lab_hosts
from .targets import host_target, jump_target
from .text import shown

__all__ = ["LabHosts", "UnknownHostError", "host_target", "jump_target", "lab_hosts", "shown"]
