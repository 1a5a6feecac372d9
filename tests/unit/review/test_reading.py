"""Previews of either engine become the same steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from preview_samples import CONFIG_MAP, SEALED, VOLUME, preview, reviewed, step, urn

from labctl.graph.values import Plain
from labctl.review import PreviewShapeError, comment_on, read_preview, read_preview_text, review_json, verdict_of
from labctl.review.comment import Subject
from labctl.review.reading import Operation

SUBJECT = Subject(kind="previews", words="Previews.", command="labctl review --preview a=prod")


def test_the_three_steps_of_a_replacement_count_once() -> None:
    a: dict[str, Plain] = {"data": {"a": "1"}}
    b: dict[str, Plain] = {"data": {"a": "2"}}
    steps = [
        step("create-replacement", CONFIG_MAP, "x", a, b, replaceReasons=["data"]),
        step("replace", CONFIG_MAP, "x", a, b, replaceReasons=["data"]),
        step("delete-replaced", CONFIG_MAP, "x", a, None),
    ]
    for order in (steps, list(reversed(steps)), steps[1:2], steps[:1] + steps[2:]):
        (read,) = read_preview(preview(*order)).steps
        assert read.operation is Operation.REPLACE
        assert read.old is not None
        assert read.new is not None
        assert list(read.changes) == ["data.a"]
        assert reviewed(*order).counts == {Operation.REPLACE: 1}


@pytest.mark.parametrize("op", ["read", "refresh", "import"])
def test_what_changes_nothing_that_exists_destroys_nothing(op: str) -> None:
    review = reviewed(step(op, VOLUME, "pv", None, {"a": 1}))
    assert not review.destroyed
    assert review.counts == {Operation(op): 1}


def test_a_leftover_of_a_replacement_is_destroyed() -> None:
    review = reviewed(step("delete-replaced", VOLUME, "pv", {"a": 1}, None))
    assert [item.urn for item in review.unnamed] == [urn(VOLUME, "pv")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"steps": 1}',
        '{"steps": [1]}',
        '{"steps": [{"op": "create"}]}',
        '{"steps": [{"op": "create", "urn": "x"}]}',
        '{"steps": [{"op": "explode", "urn": "urn:pulumi:a::b::c::d"}]}',
        '{"steps": [{"op": "create", "urn": "urn:pulumi:a::b::c::d", "newState": []}]}',
        '{"steps": [{"op": "create", "urn": "urn:pulumi:a::b::c::d", "newState": {"inputs": []}}], "x": ',
        "[" * 100_000,
    ],
)
def test_what_is_no_preview_is_refused_in_words(text: str) -> None:
    with pytest.raises(PreviewShapeError, match="is no output of `pulumi preview --json`"):
        read_preview_text(text, "a.json")


def test_a_preview_that_failed_does_not_pass() -> None:
    review = reviewed(diagnostics=[{"severity": "error", "urn": urn(VOLUME, "pv"), "message": "no such host\n"}])
    assert review.problems == ("pv: no such host",)
    assert verdict_of([review]).exit_code == 1
    assert "no such host" in comment_on([review], SUBJECT)


CANARIES = ("CANARY", "hunter2", "c2VjcmV0", "s3cr3t", "PRIVATEKEYBODY")


def test_no_secret_reaches_comment_or_document() -> None:
    """Every form in which a preview may hold one: sealed, marked, named like one, in an address, a key in a text."""
    secret = "kubernetes:core/v1:Secret"
    pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nPRIVATEKEYBODY\n-----END OPENSSH PRIVATE KEY-----\n"
    old: dict[str, Plain] = {
        "a": SEALED,
        "b": "[secret]",
        "password": "hunter2",
        "list": [SEALED, {"apiToken": "hunter2"}],
    }
    new: dict[str, Plain] = {
        "a": SEALED | {"ciphertext": "CANARY2"},  # type: ignore[operator]
        "b": "x",
        "password": "hunter22",
        "url": "https://bob:hunter2@example.org/",
        "script": f"echo\n{pem}",
        "token": "ghp_CANARY" + "A" * 30,
        "mine": "CANARY-of-an-additional-secret-output",
        "list": [SEALED, {"apiToken": "hunter3"}],
    }
    changed = step("update", CONFIG_MAP, "x", old, new, detailedDiff={"a": {"kind": "update"}})
    sealed_state = changed["newState"]
    assert isinstance(sealed_state, dict)
    sealed_state["additionalSecretOutputs"] = ["mine"]
    sealed_state["outputs"] = {"result": "CANARY-output", "__inputs": {"x": "CANARY"}}
    steps = (
        changed,
        step("create", secret, "s", None, {"stringData": {"k": "s3cr3t"}, "data": {"k": "c2VjcmV0"}}),
        step("update", secret, "t", {"data": {"k": "c2VjcmV0"}}, {"data": {"k": "c2VjcmV0Mg=="}}),
        step("delete", VOLUME, "pv", {"csi": {"password": "hunter2"}}, None),
    )
    problem: dict[str, Plain] = {"severity": "error", "message": f"cannot log in: https://a:hunter2@b.example {pem}"}
    review = reviewed(*steps, diagnostics=[problem])
    for text in (comment_on([review], SUBJECT), json.dumps(review_json([review]))):
        assert [canary for canary in CANARIES if canary in text] == []
    assert "not shown" in comment_on([review], SUBJECT)


def test_recorded_previews_of_the_official_engine_are_read(recordings: Path) -> None:
    """Counts are those of the engine's own summary, and nothing that it sealed is shown."""
    files = sorted(recordings.glob("*/*.preview.json"))
    assert files
    for file in files:
        text = file.read_text(encoding="utf-8")
        summary = json.loads(text).get("changeSummary", {})
        read = read_preview_text(text, file.name)
        found: dict[str, int] = {}
        for each in read.steps:
            if each.operation is not Operation.SAME:
                found[each.operation.value] = found.get(each.operation.value, 0) + 1
        if not read.problems:  # the summary leaves out what failed
            assert found == {op: count for op, count in summary.items() if op != "same"}, file
        assert read.unchanged == summary.get("same", 0)
        review = reviewed(*json.loads(text)["steps"])
        comment = comment_on([review], SUBJECT)
        assert "ciphertext" not in comment
        assert "4dabf1819" not in comment


def test_our_own_preview_of_a_recorded_program_reviews_like_the_official_one(recordings: Path) -> None:
    """Replaced, deleted and updated resources of a recorded program, from the shape that it was recorded in."""
    document = json.loads((recordings / "kubernetes-objects" / "3.preview.json").read_text(encoding="utf-8"))
    review = reviewed(*document["steps"])
    assert {operation.value: count for operation, count in review.counts.items()} == {"delete": 3, "replace": 2}
    assert ["Namespace" in item.what for item in review.destroyed] == [True]
    assert verdict_of([review]).exit_code == 4
