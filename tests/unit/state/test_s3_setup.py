"""A bucket made as it should be, one that exists looked at, and what is mended of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bucket_server import BUCKET
from moto import mock_aws
from moto.iam.access_control import IAMPolicy
from moto.s3.models import FakeBucket

from labctl.engine.state import BucketError, FileBackend, S3Backend, StateError
from labctl.engine.state.setup import Check, Finding, Verdict, check_backend, init_backend
from labctl.engine.state.setup.rules import mended_lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_s3.client import S3Client

    from labctl.graph.values import Plain

NEW = "new-state"
THEIRS = {
    "Sid": "Audit",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
    "Action": "s3:GetObject",
}
THEIR_RULE = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}}


def judged(self: FakeBucket, action: str, resource: str) -> object:
    """Judge a policy as S3 does for requests with TLS; moto takes no notice of a statement's condition."""
    document = json.loads(self.policy or b'{"Statement": []}')
    held = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    document["Statement"] = [statement for statement in held if "Bool" not in statement.get("Condition", {})]
    return IAMPolicy(json.dumps(document)).is_action_permitted(action, resource)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(FakeBucket, "get_permission", judged)
    with mock_aws():
        yield


def silent(message: str) -> None:
    del message


def by_check(findings: tuple[Finding, ...]) -> dict[Check, Verdict]:
    return {finding.check: finding.verdict for finding in findings}


def new(url: str = f"s3://{NEW}/teams?region=eu-north-1") -> S3Backend:
    return S3Backend(url)


@pytest.mark.parametrize("region", ["us-east-1", "eu-north-1"])
def test_new_bucket_is_as_it_should_be(aws: None, region: str) -> None:
    backend = new(f"s3://{NEW}/teams?region={region}")
    with pytest.raises(StateError, match="there is no such bucket"):
        check_backend(backend)
    prepared = init_backend(backend, fix=False, tell=silent)
    assert prepared.created
    assert set(by_check(prepared.findings).values()) == {Verdict.GOOD}
    assert {*by_check(check_backend(backend))} == {*Check} - {
        Check.CONDITIONAL_WRITES,
        Check.PERMISSIONS,
        Check.OWNER,
    }
    client = backend.bucket.client
    assert client.get_bucket_location(Bucket=NEW).get("LocationConstraint") == (
        None if region == "us-east-1" else region
    )
    assert client.get_bucket_versioning(Bucket=NEW).get("Status") == "Enabled"
    assert set(client.get_public_access_block(Bucket=NEW)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=NEW)["Rules"]
    assert rule.get("Filter") == {"Prefix": "teams/.pulumi/"}
    assert rule.get("NoncurrentVersionExpiration") == {"NoncurrentDays": 90}
    assert rule.get("Expiration") == {"ExpiredObjectDeleteMarker": True}
    (statement,) = json.loads(client.get_bucket_policy(Bucket=NEW)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Resource"] == [f"arn:aws:s3:::{NEW}", f"arn:aws:s3:::{NEW}/*"]
    assert backend.bucket.read(".pulumi/meta.yaml") == b"version: 1\n"


def test_second_time_changes_nothing(aws: None) -> None:
    init_backend(new(), fix=False, tell=silent)
    said: list[str] = []
    backend = new()
    prepared = init_backend(backend, fix=True, tell=said.append)
    assert not prepared.created
    assert said == []
    assert len(json.loads(backend.bucket.client.get_bucket_policy(Bucket=NEW)["Policy"])["Statement"]) == 1


@pytest.mark.parametrize(
    "cut",
    [
        "put_public_access_block",
        "put_bucket_ownership_controls",
        "put_bucket_encryption",
        "put_bucket_versioning",
        "put_bucket_policy",
        "put_bucket_lifecycle_configuration",
        "put_object",
    ],
)
def test_cut_off_anywhere_it_is_ended_by_the_next(aws: None, monkeypatch: pytest.MonkeyPatch, cut: str) -> None:
    def gone(**_asked: object) -> None:
        raise KeyboardInterrupt

    backend = new()
    # The ownership is there from the creation on: left out, so that its step comes too.
    real = backend.bucket.client.create_bucket

    def without_ownership(**asked: object) -> None:
        del asked["ObjectOwnership"]
        real(**asked)  # pyright: ignore[reportArgumentType] - what the code under test has asked for

    monkeypatch.setattr(backend.bucket.client, "create_bucket", without_ownership)
    monkeypatch.setattr(backend.bucket.client, cut, gone)
    with pytest.raises(KeyboardInterrupt):
        init_backend(backend, fix=False, tell=silent)
    prepared = init_backend(new(), fix=False, tell=silent)
    assert not prepared.created
    assert set(by_check(prepared.findings).values()) == {Verdict.GOOD}


def old_bucket(client: S3Client) -> None:
    """Make a bucket that is used for something else, with a policy and a lifecycle of its owner's."""
    client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="logs/1", Body=b"")
    policy = {"Version": "2012-10-17", "Id": "theirs", "Statement": THEIRS | {"Resource": f"arn:aws:s3:::{BUCKET}/*"}}
    client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    client.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [THEIR_RULE]})  # pyright: ignore[reportArgumentType]
    client.put_bucket_encryption(
        Bucket=BUCKET,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "theirs"}}]
        },
    )


def test_existing_bucket_is_only_looked_at(aws: None) -> None:
    backend = new(f"s3://{BUCKET}?region=us-east-1")
    old_bucket(backend.bucket.client)
    for findings in (check_backend(backend), init_backend(backend, fix=False, tell=silent).findings):
        found = by_check(findings)
        assert {check for check, verdict in found.items() if verdict is Verdict.DIFFERS} == {
            Check.VERSIONING,
            Check.PUBLIC_ACCESS,
            Check.OWNERSHIP,
            Check.TLS_ONLY,
            Check.OLD_VERSIONS,
            Check.INCOMPLETE_UPLOADS,
            Check.LAYOUT,
        }
        assert all(finding.remedy for finding in findings if finding.wrong)
    listed = backend.bucket.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    assert [item.get("Key") for item in listed] == ["logs/1"]
    assert not backend.bucket.client.get_bucket_versioning(Bucket=BUCKET).get("Status")


def test_mending_adds_and_takes_nothing_away(aws: None) -> None:
    backend = new(f"s3://{BUCKET}?region=us-east-1")
    client = backend.bucket.client
    old_bucket(client)
    prepared = init_backend(backend, fix=True, tell=silent)
    assert set(by_check(prepared.findings).values()) == {Verdict.GOOD}
    policy = json.loads(client.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert policy["Id"] == "theirs"
    assert policy["Statement"][0] == THEIRS | {"Resource": f"arn:aws:s3:::{BUCKET}/*"}
    assert [statement["Effect"] for statement in policy["Statement"]] == ["Allow", "Deny"]
    rules = client.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rules[0] == THEIR_RULE
    assert len(rules) == 2
    encryption = client.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption[0].get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") == "theirs"


def test_rules_told_the_old_way_are_not_mixed_with_new_ones() -> None:
    expires: dict[str, Plain] = {"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 9}}
    old: dict[str, Plain] = {"ID": "a", "Prefix": "logs/", **expires}
    later: dict[str, Plain] = {"ID": "b", "Filter": {"Prefix": "x/"}, **expires}
    mended = mended_lifecycle([old, later], "teams/.pulumi/")
    assert mended[:2] == [{"ID": "a", "Filter": {"Prefix": "logs/"}, **expires}, later]
    assert not any("Prefix" in rule for rule in mended), "Filter element can only be used in Lifecycle V2"


def suspend(client: S3Client) -> None:
    client.put_bucket_versioning(Bucket=NEW, VersioningConfiguration={"Status": "Suspended"})


def open_to_all(client: S3Client) -> None:
    statement = {
        "Sid": "All",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{NEW}/*",
    }
    policy = json.loads(client.get_bucket_policy(Bucket=NEW)["Policy"])
    client.put_bucket_policy(Bucket=NEW, Policy=json.dumps(policy | {"Statement": [*policy["Statement"], statement]}))


def partly_open(client: S3Client) -> None:
    client.put_public_access_block(Bucket=NEW, PublicAccessBlockConfiguration={"BlockPublicAcls": True})


def other_condition(client: S3Client) -> None:
    policy = json.loads(client.get_bucket_policy(Bucket=NEW)["Policy"])
    policy["Statement"][0]["Condition"]["StringEquals"] = {"aws:PrincipalAccount": "1"}
    client.put_bucket_policy(Bucket=NEW, Policy=json.dumps(policy))


def deadly_rule(client: S3Client) -> None:
    rules = client.get_bucket_lifecycle_configuration(Bucket=NEW)["Rules"]
    deadly = {"ID": "all-old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 365}}
    client.put_bucket_lifecycle_configuration(Bucket=NEW, LifecycleConfiguration={"Rules": [*rules, deadly]})  # pyright: ignore[reportArgumentType]


def rule_off(client: S3Client) -> None:
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=NEW)["Rules"]
    rule["Status"] = "Disabled"
    client.put_bucket_lifecycle_configuration(Bucket=NEW, LifecycleConfiguration={"Rules": [rule]})  # pyright: ignore[reportArgumentType]


def other_layout(client: S3Client) -> None:
    client.put_object(Bucket=NEW, Key="teams/.pulumi/meta.yaml", Body=b"version: 7\n")


def legacy_stack(client: S3Client) -> None:
    client.put_object(Bucket=NEW, Key="teams/.pulumi/stacks/prod.json", Body=b"{}")


@pytest.mark.parametrize(
    ("spoil", "check", "verdict"),
    [
        (suspend, Check.VERSIONING, Verdict.DIFFERS),
        (open_to_all, Check.STATEMENTS, Verdict.BY_HAND),
        (partly_open, Check.PUBLIC_ACCESS, Verdict.DIFFERS),
        (other_condition, Check.TLS_ONLY, Verdict.DIFFERS),
        (deadly_rule, Check.EXPIRATION, Verdict.BY_HAND),
        (rule_off, Check.OLD_VERSIONS, Verdict.DIFFERS),
        (other_layout, Check.LAYOUT, Verdict.BY_HAND),
        (legacy_stack, Check.LAYOUT, Verdict.BY_HAND),
    ],
)
def test_each_thing_that_is_wrong_is_found(
    aws: None, spoil: Callable[[S3Client], None], check: Check, verdict: Verdict
) -> None:
    backend = new()
    init_backend(backend, fix=False, tell=silent)
    spoil(backend.bucket.client)
    assert by_check(check_backend(backend))[check] is verdict
    after = by_check(init_backend(backend, fix=True, tell=silent).findings)
    assert after[check] is (Verdict.GOOD if verdict is Verdict.DIFFERS else Verdict.BY_HAND)


def test_name_that_somebody_else_has(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_s3_bucket import refusal  # noqa: PLC0415 - of the tests beside this one

    backend = new()

    def taken(**_asked: object) -> None:
        code = "BucketAlreadyExists"
        raise refusal(code, status=409)

    monkeypatch.setattr(backend.bucket.client, "create_bucket", taken)
    with pytest.raises(BucketError, match="the name is taken by somebody else's bucket"):
        init_backend(backend, fix=False, tell=silent)


def test_service_without_a_setting_is_said_so_and_not_wrong(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_s3_bucket import refusal  # noqa: PLC0415 - of the tests beside this one

    backend = new()

    def lacking(**_asked: object) -> None:
        code = "NotImplemented"
        raise refusal(code, status=501)

    monkeypatch.setattr(backend.bucket.client, "get_public_access_block", lacking)
    monkeypatch.setattr(backend.bucket.client, "get_bucket_lifecycle_configuration", lacking)
    found = by_check(init_backend(backend, fix=False, tell=silent).findings)
    unsupported = {check for check, verdict in found.items() if verdict is Verdict.UNSUPPORTED}
    assert unsupported == {Check.PUBLIC_ACCESS, Check.OLD_VERSIONS, Check.INCOMPLETE_UPLOADS, Check.EXPIRATION}


def test_plain_http_is_not_locked_out_of_its_own_bucket(aws: None) -> None:
    backend = new(f"s3://{NEW}?region=us-east-1&disable_https=true")
    prepared = init_backend(backend, fix=True, tell=silent)
    assert by_check(prepared.findings)[Check.TLS_ONLY] is Verdict.BY_HAND


def test_folder(tmp_path: Path) -> None:
    backend = FileBackend(f"file://{tmp_path}/state")
    with pytest.raises(StateError, match="labctl backend init URL"):
        check_backend(backend)
    assert init_backend(backend, fix=False, tell=silent).created
    assert set(by_check(check_backend(backend)).values()) == {Verdict.GOOD}
    backend.bucket.write(".pulumi/stacks/lab/dev.json", b"{}")
    (backend.root / ".pulumi/stacks/lab/dev.json").chmod(0o644)
    (backend.root / ".pulumi").chmod(0o755)
    theirs = backend.root / "theirs"
    theirs.write_text("")
    theirs.chmod(0o644)
    prepared = init_backend(backend, fix=False, tell=silent)
    assert by_check(prepared.findings)[Check.PERMISSIONS] is Verdict.DIFFERS
    assert (backend.root / ".pulumi").stat().st_mode & 0o777 == 0o755
    init_backend(backend, fix=True, tell=silent)
    assert set(by_check(check_backend(backend)).values()) == {Verdict.GOOD}
    assert (backend.root / ".pulumi/stacks/lab/dev.json").stat().st_mode & 0o777 == 0o600
    assert (backend.root / ".pulumi").stat().st_mode & 0o777 == 0o700
    assert theirs.stat().st_mode & 0o777 == 0o644
