"""A backend as it should be before a lab's state goes there: looked at, made, mended.

`check_backend` only looks. `init_backend` makes what does not exist yet, and mends what does only when told to: it adds
and tightens, and takes nothing away that somebody else has put there.
"""

from .findings import Check, Finding, Verdict
from .prepare import Prepared, check_backend, init_backend

__all__ = ["Check", "Finding", "Prepared", "Verdict", "check_backend", "init_backend"]
