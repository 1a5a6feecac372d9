"""A bucket looked at, made and mended, by the API of S3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypeVar, cast

from labctl.engine.state.backend import META, META_KEY
from labctl.engine.state.bucket_exceptions import BucketMissingError, BucketTakenError
from labctl.engine.state.s3_client import error_code, told

from .findings import Check, Finding, Verdict
from .rules import BLOCKED, BucketSettings, findings_of, mended_lifecycle, mended_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType
    from mypy_boto3_s3.type_defs import LifecycleRuleUnionTypeDef

    from labctl.engine.state.backend import S3Backend
    from labctl.graph.values import Plain

__all__ = ["BucketSetup"]

Answer = TypeVar("Answer")

ABSENT: Final = frozenset(
    {
        "NoSuchBucketPolicy",
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "OwnershipControlsNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)
"""Codes that say that a setting was never made."""
UNSUPPORTED: Final = frozenset(
    {"NotImplemented", "501", "MethodNotAllowed", "405", "XNotImplemented", "UnsupportedOperation"}
)
"""Codes of services that speak S3 and lack a setting (MinIO, Ceph)."""
DEFAULT_REGION: Final = "us-east-1"
"""The one region that a request to create a bucket must not name."""


class BucketSetup:
    """The settings of a backend's bucket."""

    def __init__(self, backend: S3Backend) -> None:
        self._bucket = backend.bucket
        self._location = backend.location
        self._name = backend.location.bucket
        self._unsupported: set[Check] = set()

    @property
    def _client(self) -> S3Client:
        return self._bucket.client

    @property
    def _arn(self) -> str:
        return f"arn:{self._client.meta.partition}:s3:::{self._name}"

    @property
    def _prefix(self) -> str:
        return f"{self._location.prefix}.pulumi/"

    def exists(self) -> bool:
        """Tell whether there is such a bucket and these credentials may look into it."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - boto3 is imported where it is used

        with told(self._location, "look at the bucket"):
            try:
                self._client.head_bucket(Bucket=self._name)
            except ClientError as error:
                if error_code(error) in {"404", "NoSuchBucket"}:
                    return False
                raise
        return True

    def create(self) -> None:
        """Make the bucket, its owner's from the first moment on.

        Raises
        ------
        BucketTakenError
            Somebody else has one of that name.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - boto3 is imported where it is used

        region = self._client.meta.region_name
        with told(self._location, "create the bucket"):
            try:
                if region == DEFAULT_REGION:
                    self._client.create_bucket(Bucket=self._name, ObjectOwnership="BucketOwnerEnforced")
                else:
                    place = cast("BucketLocationConstraintType", region)
                    self._client.create_bucket(
                        Bucket=self._name,
                        ObjectOwnership="BucketOwnerEnforced",
                        CreateBucketConfiguration={"LocationConstraint": place},
                    )
            except ClientError as error:
                if error_code(error) == "BucketAlreadyExists":
                    raise BucketTakenError(self._location.place) from None
                if error_code(error) != "BucketAlreadyOwnedByYou":
                    raise

    def empty(self) -> bool:
        """Tell whether nothing was ever put there: what `create` has begun and not ended, for example."""
        with told(self._location, "list the bucket"):
            held = self._client.list_object_versions(Bucket=self._name, MaxKeys=1)
        return not held.get("Versions") and not held.get("DeleteMarkers")

    def findings(self) -> tuple[Finding, ...]:
        """Return what differs from how it should be, setting by setting; nothing is written.

        Raises
        ------
        BucketMissingError
            There is no such bucket.
        """
        if not self.exists():
            raise BucketMissingError(self._location.place)
        plain_http = self._client.meta.endpoint_url.startswith("http://")
        return findings_of(self._settings(), arn=self._arn, prefix=self._prefix, plain_http=plain_http)

    def _settings(self) -> BucketSettings:
        client, name = self._client, self._name
        policy = self._read(Check.TLS_ONLY, lambda: client.get_bucket_policy(Bucket=name)["Policy"], "{}")
        statements = cast("dict[str, Plain]", json.loads(policy)).get("Statement", [])
        rules = self._rules()
        encryption = self._read(
            Check.ENCRYPTION,
            lambda: client.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"],
            [],
        )
        algorithms = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "") for rule in encryption]
        ownership = self._read(
            Check.OWNERSHIP,
            lambda: client.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"],
            [],
        )
        blocked = self._read(
            Check.PUBLIC_ACCESS,
            lambda: dict(client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]),
            dict[str, object](),
        )
        stacks = self._bucket.list(".pulumi/stacks")
        return BucketSettings(
            versioning=self._read(
                Check.VERSIONING, lambda: client.get_bucket_versioning(Bucket=name).get("Status", ""), ""
            ),
            encryption=algorithms[0] if algorithms else "",
            blocked={key: bool(blocked.get(key)) for key in BLOCKED},
            ownership=ownership[0]["ObjectOwnership"] if ownership else "",
            statements=_objects(statements),
            rules=rules,
            meta=self._bucket.read(META_KEY),
            legacy=[key.rpartition("/")[2].removesuffix(".json") for key in stacks if key.endswith(".json")],
            unsupported=frozenset(self._unsupported),
        )

    def _rules(self) -> list[dict[str, Plain]]:
        client, name = self._client, self._name
        rules = self._read(
            Check.OLD_VERSIONS, lambda: client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"], []
        )
        if Check.OLD_VERSIONS in self._unsupported:
            self._unsupported |= {Check.INCOMPLETE_UPLOADS, Check.EXPIRATION}
        return [cast("dict[str, Plain]", dict(rule)) for rule in rules]

    def _read(self, check: Check, ask: Callable[[], Answer], absent: Answer) -> Answer:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - boto3 is imported where it is used

        with told(self._location, f"read the bucket's {check}"):
            try:
                return ask()
            except ClientError as error:
                if error_code(error) in UNSUPPORTED:
                    self._unsupported.add(check)
                elif error_code(error) not in ABSENT:
                    raise
        return absent

    def mend(self, findings: Sequence[Finding], tell: Callable[[str], None]) -> None:
        """Put right what `findings` say differs; what a person has to decide stays. The layout comes last."""
        steps: dict[Check, Callable[[], object]] = {
            Check.PUBLIC_ACCESS: self._block_public_access,
            Check.OWNERSHIP: self._enforce_ownership,
            Check.ENCRYPTION: self._encrypt,
            Check.VERSIONING: self._turn_versioning_on,
            Check.TLS_ONLY: self._require_tls,
            Check.OLD_VERSIONS: self._expire_old_versions,
            Check.INCOMPLETE_UPLOADS: self._expire_old_versions,
            Check.LAYOUT: self._lay_out,
        }
        differing = {finding.check: finding for finding in findings if finding.verdict is Verdict.DIFFERS}
        done: set[Callable[[], object]] = set()
        for check, step in steps.items():
            if check in differing and step not in done:
                tell(f"{check}: {differing[check].remedy}")
                with told(self._location, f"change the bucket's {check}"):
                    step()
                done.add(step)

    def _block_public_access(self) -> None:
        self._client.put_public_access_block(
            Bucket=self._name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )

    def _enforce_ownership(self) -> None:
        controls = self._client.put_bucket_ownership_controls
        controls(Bucket=self._name, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})

    def _encrypt(self) -> None:
        self._client.put_bucket_encryption(
            Bucket=self._name,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
            },
        )

    def _turn_versioning_on(self) -> None:
        self._client.put_bucket_versioning(Bucket=self._name, VersioningConfiguration={"Status": "Enabled"})

    def _require_tls(self) -> None:
        policy = self._read(Check.TLS_ONLY, lambda: self._client.get_bucket_policy(Bucket=self._name)["Policy"], "")
        present = cast("dict[str, Plain]", json.loads(policy or '{"Version": "2012-10-17", "Statement": []}'))
        statements = mended_policy(_objects(present.get("Statement", [])), self._arn)
        self._client.put_bucket_policy(Bucket=self._name, Policy=json.dumps(present | {"Statement": [*statements]}))

    def _expire_old_versions(self) -> None:
        rules = cast("list[LifecycleRuleUnionTypeDef]", mended_lifecycle(self._rules(), self._prefix))
        self._client.put_bucket_lifecycle_configuration(Bucket=self._name, LifecycleConfiguration={"Rules": rules})

    def _lay_out(self) -> None:
        self._bucket.create(META_KEY, META)

    def conditional_writes(self) -> Finding:
        """Tell whether the service keeps two writers apart, by writing what is there already under a condition."""
        refused = not self._refuses_second()
        if not refused:
            found = "what is there is not overwritten by who has not seen it"
            return Finding(check=Check.CONDITIONAL_WRITES, verdict=Verdict.GOOD, found=found)
        found = "this service does not know them: the lock alone keeps two runs apart"
        return Finding(check=Check.CONDITIONAL_WRITES, verdict=Verdict.UNSUPPORTED, found=found)

    def _refuses_second(self) -> bool:
        from botocore.exceptions import ClientError  # noqa: PLC0415 - boto3 is imported where it is used

        with told(self._location, "write the layout's version"):
            try:
                key = f"{self._location.prefix}{META_KEY}"
                self._client.put_object(Bucket=self._name, Key=key, Body=META, IfNoneMatch="*")
            except ClientError as error:
                if error_code(error) in {"PreconditionFailed", "412"}:
                    return True
                if error_code(error) in UNSUPPORTED:
                    return False
                raise
        return False


def _objects(value: Plain) -> list[dict[str, Plain]]:
    """Return a list of objects; a policy may have a single one in its place."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]
