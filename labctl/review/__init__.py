"""A pull request's check: what a change makes of every stack, as one comment, and whether it passes.

It reads plans in the shape of ``pulumi preview --json``, whoever made them: the embedded engine out of two revisions
(no cluster, no credentials), or the official CLI with a state.
"""

from __future__ import annotations

from .changes import Permission, Policies, StackReview, review_preview, review_revisions
from .comment import LONGEST_COMMENT, Subject, comment_on, marker
from .document import review_json
from .errors import DescriptionError, NothingToReviewError, NotPassedError, PreviewShapeError, UnknownPreviewError
from .naming import KEYWORD, Named, named_in
from .policies import compared_policies, policies_of_preview
from .reading import read_preview, read_preview_text
from .verdict import Verdict, verdict_of

__all__ = [
    "KEYWORD",
    "LONGEST_COMMENT",
    "DescriptionError",
    "Named",
    "NotPassedError",
    "NothingToReviewError",
    "Permission",
    "Policies",
    "PreviewShapeError",
    "StackReview",
    "Subject",
    "UnknownPreviewError",
    "Verdict",
    "comment_on",
    "compared_policies",
    "marker",
    "named_in",
    "policies_of_preview",
    "read_preview",
    "read_preview_text",
    "review_json",
    "review_preview",
    "review_revisions",
    "verdict_of",
]
