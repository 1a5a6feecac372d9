"""The objects of a bucket, and what of it goes wrong, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError, SSLError
from bucket_server import BUCKET, BucketServer

from labctl.engine.state import BucketError, S3Backend, StateChangedError, StateError, UpdateKind, open_stack
from labctl.engine.state.s3_client import told
from labctl.engine.state.s3_url import parse_s3_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labctl.engine.state.s3_bucket import S3Bucket

CANARY = "canary-secret-key"


def test_reads_what_it_writes_under_the_prefix(bucket: S3Backend) -> None:
    held = bucket.bucket
    assert held.read("a/b.json") is None
    held.write("a/b.json", b"1")
    held.write("a/c/d.json", b"2")
    held.write("ab", b"3")
    assert held.read("a/b.json") == b"1"
    assert held.list("a") == ["a/b.json"]
    assert held.tree("a") == ["a/b.json", "a/c/d.json"]
    objects = held.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    assert [item.get("Key") for item in objects] == [f"teams/compute/{key}" for key in ("a/b.json", "a/c/d.json", "ab")]
    held.delete("a/b.json")
    held.delete("a/b.json")
    assert held.read("a/b.json") is None


def test_lists_more_than_one_page(bucket: S3Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    held = bucket.bucket
    real = held.client.get_paginator("list_objects_v2").paginate
    pages: list[int] = []

    class Short:
        def paginate(self, **asked: str) -> Iterator[Mapping[str, object]]:
            for page in real(**asked, PaginationConfig={"PageSize": 2}):  # pyright: ignore[reportArgumentType]
                pages.append(page["KeyCount"])
                yield page

    keys = [f"many/{number}" for number in range(5)]
    for key in keys:
        held.write(key, b"")

    def paginator(_name: str) -> Short:
        return Short()

    monkeypatch.setattr(held.client, "get_paginator", paginator)
    assert held.list("many") == keys
    assert pages == [2, 2, 1]


def test_swap_asks_the_server_and_not_only_itself(bucket: S3Backend) -> None:
    held, other = bucket.bucket, S3Backend(bucket.url).bucket
    held.swap("key", b"1", None)
    with pytest.raises(StateChangedError, match="something else has changed it"):
        other.swap("key", b"2", None)
    other.swap("key", b"2", b"1")
    # What this client remembers of the object is no longer so, and only the condition can tell.
    with pytest.raises(StateChangedError):
        held.swap("key", b"3", b"1")
    assert held.read("key") == b"2"


def test_write_whose_answer_was_lost_is_known_again(bucket: S3Backend) -> None:
    bucket.bucket.write("key", b"1")
    assert bucket.bucket.create("key", b"1")
    assert not bucket.bucket.create("key", b"2")


class Without:
    """A service that answers conditional writes as those do that have none."""

    def __init__(self, held: S3Bucket) -> None:
        self.put = held.client.put_object

    def put_object(self, **parameters: object) -> object:
        if {"IfMatch", "IfNoneMatch"} & parameters.keys():
            code = "NotImplemented"
            raise refusal(code, status=501)
        return self.put(**parameters)  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownVariableType]


def refusal(code: str, *, status: int = 400, text: str = "") -> ClientError:
    answer = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")  # pyright: ignore[reportArgumentType] - what matters of an answer


def test_service_without_conditional_writes_is_compared_first(
    bucket: S3Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = bucket.bucket
    monkeypatch.setattr(held.client, "put_object", Without(held).put_object)
    held.swap("key", b"1", None)
    held.swap("key", b"2", b"1")
    with pytest.raises(StateChangedError):
        held.swap("key", b"3", b"1")
    assert held.read("key") == b"2"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (refusal("InvalidAccessKeyId", text=CANARY), "the credentials are not accepted (InvalidAccessKeyId). Set AWS_"),
        (refusal("SignatureDoesNotMatch", text=CANARY), "the credentials are not accepted (SignatureDoesNotMatch)"),
        (refusal("ExpiredToken"), "the credentials are not accepted (ExpiredToken)"),
        (refusal("InvalidClientTokenId"), "the credentials are not accepted (InvalidClientTokenId)"),
        (refusal("400"), "the server refused to write without a reason (400): the credentials have most often expired"),
        (refusal("NoSuchBucket"), "there is no such bucket at this endpoint and in this region"),
        (refusal("AccessDenied", text=CANARY), "access denied to write. These credentials need s3:ListBucket"),
        (
            refusal("RequestTimeTooSkewed"),
            "the clock of this machine differs from the server's by more than 15 minutes",
        ),
        (refusal("PermanentRedirect"), "the bucket is in another region than asked"),
        (refusal("SlowDown"), "the service is overloaded or down (SlowDown), also after 4 attempts"),
        (refusal("EntityTooLarge", text=CANARY), "the server refused to write (EntityTooLarge)"),
        (SSLError(endpoint_url=CANARY, error=OSError()), "does not answer (its certificate is not trusted)"),
        (ReadTimeoutError(endpoint_url=CANARY, error=OSError()), "does not answer (no answer in time)"),
    ],
)
def test_failure_says_what_is_wrong_and_what_would_be_right(error: Exception, message: str) -> None:
    location = parse_s3_url("s3://lab-state/teams?region=eu-north-1")
    with pytest.raises(BucketError) as caught, told(location, "write", "teams/key"):
        raise error
    assert message in str(caught.value)
    assert "s3://lab-state/teams" in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StateError, match=r"no credentials were found\. Set AWS_ACCESS_KEY_ID"):
        S3Backend("s3://lab-state?region=us-east-1&endpoint=http://127.0.0.1:9").bucket.read("key")


def test_no_such_profile() -> None:
    with pytest.raises(StateError, match=r"there is no profile lab in the AWS configuration"):
        S3Backend("s3://lab-state?region=us-east-1&profile=lab").bucket.read("key")


def test_no_region() -> None:
    with pytest.raises(StateError, match=r"no region is known: add region=\.\.\. to the URL"):
        S3Backend("s3://lab-state").bucket.read("key")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("region=eu north 1", "region is not the name of one, such as eu-north-1"),
        ("region=eu-north-1&endpoint=https://s3 lab.org", "endpoint is not one: a URL such as https://s3.example.org"),
        ("region=eu-north-1&endpoint=https://s3_lab", "endpoint is not one: a URL such as https://s3.example.org"),
    ],
)
def test_place_that_cannot_be(parameters: str, message: str) -> None:
    with pytest.raises(BucketError, match=message):
        S3Backend(f"s3://lab-state?{parameters}").bucket.read("key")


def test_nobody_answers() -> None:
    url = "s3://lab-state?region=us-east-1&endpoint=http://127.0.0.1:9&use_path_style=true"
    with pytest.raises(StateError, match=r"http://127.0.0.1:9 does not answer \(no connection\)"):
        S3Backend(url).bucket.read("key")


def test_no_such_bucket(server: BucketServer) -> None:
    url = server.url.replace(BUCKET, "other-state")
    with pytest.raises(StateError, match="labctl backend init URL"):
        open_stack(S3Backend(url).files("lab", "dev"), UpdateKind.UPDATE, passphrases=())
