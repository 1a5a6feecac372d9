"""``labctl review``: the check of a pull request."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from labctl.errors import UnknownStackError
from labctl.graph.rules import EXCEPTIONS_FILE, RULE_NAMES, ExceptionsFileError, NamedException, load_exceptions
from labctl.lab import find_root
from labctl.review import (
    DescriptionError,
    NothingToReviewError,
    NotPassedError,
    Permission,
    Policies,
    PreviewShapeError,
    Subject,
    UnknownPreviewError,
    comment_on,
    compared_policies,
    named_in,
    policies_of_preview,
    read_preview_text,
    review_json,
    review_preview,
    review_revisions,
    verdict_of,
)
from labctl.review.markdown import code
from labctl.revisions import WORKING_TREE, changed_files, compare_trees, revision_tree, short_commit
from labctl.rules import WrongExceptionsError
from stacks.environments import environment_of
from stacks.errors import UnknownEnvironmentError

from .session import error_console, print_json, teller

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.graph.values import Plain
    from labctl.review import Named, StackReview
    from labctl.revisions import StackChange

__all__ = ["Request", "review", "reviews_of"]

STDIN: Final = "-"
LONGEST_DESCRIPTION: Final = 1_000_000
"""Characters of a description that are read; GitHub allows 65,536."""
NO_PREVIEW: Final = (
    '{"diagnostics": [{"severity": "error", "message": "no preview was printed; the log of its run says why"}]}'
)
"""What an empty file is read as: an engine that fails early prints nothing; other stacks are reviewed anyway."""
JUDGES: Final = (".github", "labctl", "policies", "stacks/environments.py", "requirements.txt", "requirements-dev.txt")
"""What this check consists of: a change there may change what it says."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked on the command line."""

    base: str | None = None
    head: str | None = None
    stacks: tuple[str, ...] = ()
    previews: tuple[str, ...] = ()
    """``FILE=STACK`` or, with one stack named, ``FILE``."""
    description: str | None = None
    """File, or ``-``."""
    output: Path | None = None


def review(request: Request, *, as_json: bool) -> None:
    """Print the comment, or write it to a file, and end with the code of the verdict.

    Raises
    ------
    NothingToReviewError, UnknownPreviewError, DescriptionError, PreviewShapeError, UnknownStackError
        The request is not understood.
    WrongExceptionsError
        ``policies/exceptions.yaml`` is wrong.
    NotPassedError
        The change does not pass.
    """
    if bool(request.base) == bool(request.previews) or (request.head and not request.base):
        raise NothingToReviewError
    named = named_in(_description(request.description))
    reviews, subject = _of_revisions(request, named) if request.base else _of_previews(request, named)
    comment = comment_on(reviews, subject)
    if request.output is not None:
        request.output.write_text(comment, encoding="utf-8")
    if as_json:
        print_json(review_json(reviews))
    elif request.output is None:
        sys.stdout.write(comment)
        sys.stdout.flush()
    verdict = verdict_of(reviews)
    if verdict.exit_code:
        raise NotPassedError(verdict.exit_code, f"the change does not pass: {'; '.join(verdict.reasons)}")


def _of_revisions(request: Request, named: tuple[Named, ...]) -> tuple[list[StackReview], Subject]:
    root, base = find_root(), str(request.base)
    teller(error_console())(f"rendering every stack that differs from {base}")
    with revision_tree(root, base) as before, revision_tree(root, request.head) as after:
        changes = compare_trees(before, after, request.stacks or None, names=(base, request.head or WORKING_TREE))
        _all_known(request.stacks, changes)
        exceptions = _exceptions_before(before), _exceptions(after)
    reviews = reviews_of(changes, named, exceptions)
    commits = (
        code(short_commit(root, base)),
        code(short_commit(root, request.head)) if request.head else "the files here",
    )
    words = f"{commits[1]} compared with {commits[0]}, rendered without cluster, credentials or state."
    return reviews, Subject(
        kind="revisions", words=words, command=_command(request), notes=_judges(root, base, request.head)
    )


def reviews_of(
    changes: Mapping[str, StackChange],
    named: tuple[Named, ...],
    exceptions: tuple[Sequence[NamedException], Sequence[NamedException]],
) -> list[StackReview]:
    """Return the review of every stack in `changes`.

    Parameters
    ----------
    changes
        What two revisions were found to differ in, by stack.
    named
        What the request allows to be destroyed.
    exceptions
        Exceptions from the policy rules in either revision.
    """
    return [
        review_revisions(change, _permission(name, named), _policies(change, exceptions))
        for name, change in changes.items()
    ]


def _judges(root: Path, base: str, head: str | None) -> tuple[str, ...]:
    """Return a sentence when the change is one of this check itself, too."""
    files = changed_files(root, base, head, JUDGES)
    if not files:
        return ()
    shown = ", ".join(code(name) for name in files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")  # noqa: PLR2004
    return (f"**It also changes what this check consists of**: {shown}.",)


def _of_previews(request: Request, named: tuple[Named, ...]) -> tuple[list[StackReview], Subject]:
    reviews: list[StackReview] = []
    exceptions = _exceptions(find_root())
    for given in request.previews:
        path, stack = _preview(given, request.stacks)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise PreviewShapeError(str(path), str(error)) from None
        text = text if text.strip() else NO_PREVIEW
        preview = read_preview_text(text, str(path))
        steps = cast("list[dict[str, Plain]]", json.loads(text).get("steps", []))
        reviews.append(review_preview(preview, _permission(stack, named), _policies_of_steps(stack, steps, exceptions)))
    words = f"Previews with credentials, of {len(reviews)} stacks, against what is deployed."
    return reviews, Subject(kind="previews", words=words, command=_command(request))


def _preview(given: str, stacks: Sequence[str]) -> tuple[Path, str]:
    """Return the file and the stack of one ``--preview``."""
    path, equals, stack = given.rpartition("=")
    if equals and path and stack:
        return Path(path), stack
    if len(stacks) != 1:
        raise UnknownPreviewError(given)
    return Path(given), stacks[0]


def _permission(stack: str, named: tuple[Named, ...]) -> Permission:
    try:
        free = environment_of(stack).destroyable
    except UnknownEnvironmentError:  # the program says so of the stack; here it is guarded like production
        free = False
    return Permission(stack=stack, everything=free, named=named)


def _policies(change: StackChange, exceptions: tuple[Sequence[NamedException], Sequence[NamedException]]) -> Policies:
    if change.error is not None or change.is_gone:
        return Policies()
    return compared_policies(change.stack, change.base_resources, change.resources, exceptions)


def _policies_of_steps(stack: str, steps: Sequence[dict[str, Plain]], exceptions: Sequence[NamedException]) -> Policies:
    try:
        return policies_of_preview(stack, steps, exceptions)
    except UnknownEnvironmentError:
        return Policies(partly=True)


def _exceptions(tree: Path) -> tuple[NamedException, ...]:
    """Return the exceptions under review.

    Raises
    ------
    WrongExceptionsError
        The file is wrong.
    """
    try:
        return load_exceptions(tree / EXCEPTIONS_FILE, RULE_NAMES)
    except ExceptionsFileError as error:
        raise WrongExceptionsError(error) from error


def _exceptions_before(tree: Path) -> tuple[NamedException, ...]:
    """Return the exceptions that there were: of rules that may be gone, none where the file was wrong.

    A change that mends the file, or renames a rule, has to be judged like any other.
    """
    try:
        return load_exceptions(tree / EXCEPTIONS_FILE)
    except ExceptionsFileError:
        return ()


def _all_known(stacks: Sequence[str], changes: dict[str, StackChange]) -> None:
    for stack in stacks:
        if stack not in changes:
            raise UnknownStackError(stack=stack, known=sorted(changes))


def _description(given: str | None) -> str:
    """Return the request's description; nothing is named without one."""
    if given is None:
        return ""
    try:
        text = sys.stdin.read() if given == STDIN else Path(given).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DescriptionError(Path(given), error.strerror or str(error)) from None
    return text[:LONGEST_DESCRIPTION]


def _command(request: Request) -> str:
    """Return the command that shows the same, and every property with it, on a terminal."""
    if not request.base:
        return shlex.join(["labctl", "review", "--json", *(f"--preview={given}" for given in request.previews)])
    head = ["--head", request.head] if request.head else []
    return shlex.join(["labctl", "review", "--base", request.base, *head, "--json"])
