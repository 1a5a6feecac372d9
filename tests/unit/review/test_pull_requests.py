"""What the comment on each of these pull requests is, to the letter; ``--update-golden`` after an intended change."""

from __future__ import annotations

from pathlib import Path

import pytest
from pull_requests import PULL_REQUESTS, PullRequest
from review_repository import Repository

from labctl.exit_codes import ExitCode
from labctl.review import LONGEST_COMMENT, Subject, comment_on, verdict_of

DATA = Path(__file__).with_name("data")
SUBJECT = Subject(
    kind="revisions",
    words="`branch` compared with `main`, rendered without cluster, credentials or state.",
    command="labctl review --base main --head branch --json",
)
CODES = {
    "remove-a-node": ExitCode.REFUSED,
    "rename-a-volume": ExitCode.REFUSED,
    "drop-the-hub": ExitCode.REFUSED,
    "break-a-stack-file": ExitCode.INVALID,
    "rename-a-stack": ExitCode.REFUSED,
    "break-a-policy": ExitCode.POLICY,
}
"""Codes of those that do not pass."""


@pytest.mark.parametrize("request_", PULL_REQUESTS, ids=lambda each: each.name)
def test_the_comment_is_the_pinned_one(
    request_: PullRequest, repository: Repository, pytestconfig: pytest.Config
) -> None:
    repository.branch(request_.name, request_.edit)
    reviews = repository.review(request_.name, request_.stacks, request_.description)
    comment = comment_on(reviews, SUBJECT)
    golden = DATA / f"{request_.name}.md"
    if pytestconfig.getoption("--update-golden"):
        golden.write_text(comment, encoding="utf-8")
    assert comment == golden.read_text(encoding="utf-8")
    assert len(comment) <= LONGEST_COMMENT
    assert verdict_of(reviews).exit_code == CODES.get(request_.name, ExitCode.OK)


def test_every_golden_has_its_pull_request() -> None:
    assert {path.stem for path in DATA.glob("*.md")} == {each.name for each in PULL_REQUESTS}
