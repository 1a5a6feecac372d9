"""State files as the objects of a bucket: what `FileBucket` is for a folder."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Final

from .exceptions import StateChangedError
from .s3_client import CONNECTIONS, error_code, new_client, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_s3.client import S3Client

    from .s3_url import S3Location

__all__ = ["S3Bucket"]

CONFLICT_CODES: Final = frozenset({"PreconditionFailed", "412"})
"""The object is not what the condition of the write says."""
BUSY_CODES: Final = frozenset({"ConditionalRequestConflict", "409"})
"""Another conditional write of the object was under way: ask again (Amazon S3 User Guide, "Conditional writes")."""
UNCONDITIONAL_CODES: Final = frozenset({"NotImplemented", "501", "A_NotImplemented"})
"""A service without conditional writes says so (older Ceph and MinIO)."""
GONE_CODES: Final = frozenset({"NoSuchKey", "404", "NotFound", "NoSuchVersion"})
CONFLICT_TRIES: Final = 5


class S3Bucket:
    """The objects under a prefix of a bucket. Safe to use from many threads; nothing is asked before its first use."""

    def __init__(self, location: S3Location) -> None:
        self.location = location
        self._seen: dict[str, tuple[str, str]] = {}

    @cached_property
    def client(self) -> S3Client:
        """The client, made when it is first needed."""
        return new_client(self.location)

    def read(self, key: str) -> bytes | None:
        """Return what is under `key`, or None."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - boto3 is imported where it is used

        full = self._full(key)
        with told(self.location, "read", full):
            try:
                answer = self.client.get_object(Bucket=self.location.bucket, Key=full)
                content = answer["Body"].read()
            except ClientError as error:
                if error_code(error) in GONE_CODES:
                    return None
                raise
        self._seen[key] = (_digest(content), answer["ETag"])
        return content

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what is under each of `keys`, asked for at once."""
        with ThreadPoolExecutor(CONNECTIONS, "bucket") as pool:
            return list(pool.map(self.read, keys))

    def exists(self, key: str) -> bool:
        """Tell whether there is something under `key`."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - boto3 is imported where it is used

        full = self._full(key)
        with told(self.location, "look", full):
            try:
                self.client.head_object(Bucket=self.location.bucket, Key=full)
            except ClientError as error:
                if error_code(error) in GONE_CODES:
                    return False
                raise
        return True

    def write(self, key: str, content: bytes) -> None:
        """Put `content` under `key`; S3 takes an object whole or not at all."""
        with told(self.location, "write", self._full(key)):
            self._put(key, content, {})

    def create(self, key: str, content: bytes) -> bool:
        """Put `content` under `key` if nothing is there; tell whether it is there now, if only by an earlier try."""
        try:
            self.swap(key, content, None)
        except StateChangedError:
            return False
        return True

    def swap(self, key: str, content: bytes, before: bytes | None) -> None:
        """Put `content` under `key` if `before` is there, asked of the server as one step.

        Where a service has no conditional writes, what is there is compared first; the stack's lock keeps others out.

        Raises
        ------
        StateChangedError
            Something else is there.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - boto3 is imported where it is used

        full = self._full(key)
        with told(self.location, "write", full):
            for attempt in range(1, CONFLICT_TRIES + 1):
                condition = self._condition(key, before)
                try:
                    self._put(key, content, condition)
                except ClientError as error:
                    code = error_code(error)
                    if code in CONFLICT_CODES | GONE_CODES:
                        # The answer to an earlier try of the same write may have been lost.
                        if self.read(key) == content:
                            return
                        raise StateChangedError(self._place(key)) from None
                    if code in UNCONDITIONAL_CODES:
                        self._put_compared(key, content, before)
                        return
                    if code not in BUSY_CODES or attempt == CONFLICT_TRIES:
                        raise
                else:
                    return

    def _condition(self, key: str, before: bytes | None) -> Mapping[str, str]:
        if before is None:
            return {"IfNoneMatch": "*"}
        if self._seen.get(key, ("", ""))[0] != _digest(before) and self.read(key) != before:
            raise StateChangedError(self._place(key))
        return {"IfMatch": self._seen[key][1]}

    def _put_compared(self, key: str, content: bytes, before: bytes | None) -> None:
        if self.read(key) != before:
            raise StateChangedError(self._place(key))
        self._put(key, content, {})

    def _put(self, key: str, content: bytes, condition: Mapping[str, str]) -> None:
        sealing: dict[str, str] = {}
        if self.location.encryption:
            sealing["ServerSideEncryption"] = self.location.encryption
        if self.location.kms_key:
            sealing["SSEKMSKeyId"] = self.location.kms_key
        put = self.client.put_object
        answer = put(  # pyright: ignore[reportUnknownVariableType, reportCallIssue] - keywords made above
            Bucket=self.location.bucket,
            Key=self._full(key),
            Body=content,
            **sealing,  # pyright: ignore[reportArgumentType] - texts that `parse_s3_url` has checked
            **condition,
        )
        self._seen[key] = (_digest(content), str(answer["ETag"]))

    def list(self, prefix: str) -> list[str]:
        """Return the keys directly under the folder `prefix`, sorted."""
        return self._keys(prefix, "/")

    def tree(self, prefix: str) -> list[str]:
        """Return the keys at any depth under the folder `prefix`, sorted."""
        return self._keys(prefix, "")

    def _keys(self, prefix: str, delimiter: str) -> list[str]:
        found: list[str] = []
        full = self._full(f"{prefix}/")
        with told(self.location, "list", full):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.location.bucket, Prefix=full, Delimiter=delimiter
            )
            for page in pages:
                found += [entry.get("Key", "").removeprefix(self.location.prefix) for entry in page.get("Contents", [])]
        return sorted(key for key in found if not key.endswith("/"))

    def delete(self, key: str) -> None:
        """Remove `key`; one that is not there is success. A versioned bucket keeps what it was."""
        full = self._full(key)
        with told(self.location, "delete", full):
            self.client.delete_object(Bucket=self.location.bucket, Key=full)
        self._seen.pop(key, None)

    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove each of `keys`, asked for at once."""
        with ThreadPoolExecutor(CONNECTIONS, "bucket") as pool:
            list(pool.map(self.delete, keys))

    def _place(self, key: str) -> str:
        return f"{self.location.place}/{key}"

    def _full(self, key: str) -> str:
        return f"{self.location.prefix}{key}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
