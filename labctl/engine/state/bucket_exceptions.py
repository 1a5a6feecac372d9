"""What can go wrong between this process and a bucket; no message holds a credential or a server's own text."""

from __future__ import annotations

from .exceptions import StateError, StateWriteError

__all__ = [
    "BucketClockError",
    "BucketCredentialsError",
    "BucketDeniedError",
    "BucketError",
    "BucketMissingError",
    "BucketPackageError",
    "BucketTakenError",
    "BucketUnreachableError",
]


class BucketError(StateWriteError):
    """A bucket that did not do what it was asked."""

    def __init__(self, place: str, reason: str) -> None:
        StateError.__init__(self, f"{place}: {reason}")
        self.place = place
        self.reason = reason


class BucketCredentialsError(BucketError):
    """No credentials were found, or those found are not accepted."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(
            place,
            f"{problem}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN too where they are "
            "temporary), or name a profile: AWS_PROFILE, or profile=... in the backend's URL",
        )


class BucketMissingError(BucketError):
    """There is no bucket of that name where the URL leads."""

    def __init__(self, place: str) -> None:
        super().__init__(
            place,
            "there is no such bucket at this endpoint and in this region. Correct the backend's URL, or make it: "
            "labctl backend init URL",
        )


class BucketDeniedError(BucketError):
    """The credentials are good and not allowed to do this."""

    def __init__(self, place: str, action: str) -> None:
        super().__init__(
            place,
            f"access denied to {action}. These credentials need s3:ListBucket on the bucket and s3:GetObject, "
            "s3:PutObject and s3:DeleteObject on what is in it (docs/state.md has the policy)",
        )


class BucketClockError(BucketError):
    """The clock of this machine is too far off for its signature to be accepted."""

    def __init__(self, place: str) -> None:
        super().__init__(
            place,
            "the clock of this machine differs from the server's by more than 15 minutes: its signatures are refused. "
            "Set the clock (timedatectl set-ntp true)",
        )


class BucketUnreachableError(BucketError):
    """The endpoint does not answer."""

    def __init__(self, place: str, endpoint: str, problem: str) -> None:
        super().__init__(
            place,
            f"{endpoint} does not answer ({problem}). See whether this machine has a network, a proxy that it needs "
            "(HTTPS_PROXY), and the right region and endpoint in the backend's URL",
        )


class BucketTakenError(BucketError):
    """Somebody else owns the bucket's name."""

    def __init__(self, place: str) -> None:
        super().__init__(
            place, "the name is taken by somebody else's bucket; names are shared by everybody: take another"
        )


class BucketPackageError(StateError):
    """The package that speaks S3 is not installed."""

    def __init__(self) -> None:
        super().__init__("a backend s3://... needs the package boto3: install requirements-dev.txt")
