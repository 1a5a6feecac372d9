"""Two revisions of the project, compared by what they would make of each stack: no cluster, no credentials, no state.

The base revision's program is run on nothing; what it would create is taken as the state, and the other revision's
program is previewed on that. Both are rehearsed: the real providers judge, and nobody is asked (`rehearsal`).
"""

from .comparison import StackChange, compare_revisions, compare_trees
from .trees import WORKING_TREE, changed_files, revision_tree, short_commit

__all__ = [
    "WORKING_TREE",
    "StackChange",
    "changed_files",
    "compare_revisions",
    "compare_trees",
    "revision_tree",
    "short_commit",
]
