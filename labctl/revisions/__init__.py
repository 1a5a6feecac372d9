"""Two revisions of the project, compared by what they would make of each stack: no cluster, no credentials, no state.

The base revision's program is run on nothing; what it would create is taken as the state, and the other revision's
program is previewed on that. Both are rehearsed: the real providers judge, and nobody is asked (`rehearsal`).
"""

from .comparison import StackChange, compare_revisions
from .trees import revision_tree

__all__ = ["StackChange", "compare_revisions", "revision_tree"]
