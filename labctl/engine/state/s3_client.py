"""The client of a bucket, and its failures in words. The only module of the state that imports boto3, when it is used.

Importing boto3 takes 0.3 s, which a run on a folder does not pay.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from .bucket_exceptions import (
    BucketClockError,
    BucketCredentialsError,
    BucketDeniedError,
    BucketError,
    BucketMissingError,
    BucketPackageError,
    BucketUnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from botocore.exceptions import ClientError
    from mypy_boto3_s3.client import S3Client

    from .s3_url import S3Location

__all__ = ["CONNECTIONS", "error_code", "new_client", "told"]

CONNECT_SECONDS: Final = 5.0
"""Longest wait for a connection: a host that is there answers within one round trip."""
READ_SECONDS: Final = 30.0
"""Longest silence within one answer: a checkpoint of 5,000 resources (9 MB) takes 8 s at 10 Mbit/s."""
ATTEMPTS: Final = 4
"""First try included; boto3 waits up to 1, 2 and 4 s between them, so a server that restarts is waited for, and a
network that is gone stops the run within seconds rather than minutes."""
CONNECTIONS: Final = 16
"""Requests at once: segments of a journal are read and removed together."""
CREDENTIAL_CODES: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
        "AuthFailure",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    }
)
UNTOLD_CODES: Final = frozenset({"400"})
"""The answer to a HEAD has no body that could say more (Amazon S3 API, HeadBucket): an expired token, for example."""
CLOCK_CODES: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
DENIED_CODES: Final = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "AccountProblem"})
MISSING_CODES: Final = frozenset({"NoSuchBucket"})
REGION_CODES: Final = frozenset(
    {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)
BUSY_CODES: Final = frozenset({"SlowDown", "503", "ServiceUnavailable", "InternalError", "500"})


def new_client(location: S3Location) -> S3Client:
    """Return a client for `location`; nothing was asked of the server yet.

    Raises
    ------
    BucketPackageError
        boto3 is not installed.
    BucketCredentialsError
        The profile does not exist.
    BucketError
        No region is known, or the configuration of AWS on this machine cannot be read.
    """
    try:
        import boto3  # noqa: PLC0415 - see above
        from botocore import exceptions as aws  # noqa: PLC0415 - see above
        from botocore.config import Config  # noqa: PLC0415 - see above
    except ImportError as error:
        raise BucketPackageError from error
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        use_dualstack_endpoint=location.dualstack or None,
        use_fips_endpoint=location.fips or None,
        # A checksum that a service other than Amazon's may not know goes only where S3 itself asks for one.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if location.path_style else "auto",
            "use_accelerate_endpoint": location.accelerate,
        },
    )
    with told(location, "open the bucket"):
        session = boto3.session.Session(profile_name=location.profile, region_name=location.region)
        # An endpoint that is not Amazon's needs no region, and signatures need the name of one.
        region = session.region_name or ("us-east-1" if location.endpoint else None)
        if region is None:  # boto3 would guess one for S3, where the official CLI refuses
            raise aws.NoRegionError
        try:
            return session.client(  # pyright: ignore[reportUnknownMemberType] - of boto3, only S3 has its stubs installed
                "s3",
                region_name=region,
                endpoint_url=location.endpoint,
                use_ssl=not location.plain_http,
                config=config,
            )
        except aws.InvalidRegionError:
            raise BucketError(location.place, "region is not the name of one, such as eu-north-1") from None
        except aws.BotoCoreError:
            raise
        except ValueError:  # an endpoint, of the URL or of AWS_ENDPOINT_URL, whose host is none
            reason = "endpoint is not one: a URL such as https://s3.example.org, its host of letters, digits, - and ."
            raise BucketError(location.place, reason) from None


def error_code(error: ClientError) -> str:
    """Return what the server called its refusal: ``NoSuchKey``, ``PreconditionFailed``, or an HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def told(location: S3Location, action: str, key: str = "") -> Generator[None]:
    """Turn a failure of boto3 into a `BucketError` that says what is wrong and what would be right.

    `action` completes "access denied to ..."; only codes of the server's answer are told, never its text.

    Raises
    ------
    BucketError
        Something failed.
    """
    from botocore import exceptions as aws  # noqa: PLC0415 - see above

    place = f"{location.place}/{key.removeprefix(location.prefix)}" if key else location.place
    try:
        yield
    except aws.ClientError as error:
        raise _refusal(location, place, action, error) from None
    except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.TokenRetrievalError, aws.CredentialRetrievalError):
        raise BucketCredentialsError(place, "no credentials were found") from None
    except aws.ProfileNotFound:
        named = location.profile or "that AWS_PROFILE names"
        raise BucketCredentialsError(place, f"there is no profile {named} in the AWS configuration") from None
    except (aws.SSOError, aws.UnauthorizedSSOTokenError):
        raise BucketCredentialsError(place, "the sign-in of the profile has expired (aws sso login)") from None
    except (aws.EndpointConnectionError, aws.ConnectionError, aws.HTTPClientError) as error:
        endpoint = location.endpoint or f"Amazon S3 ({location.region or 'region of the profile'})"
        raise BucketUnreachableError(place, endpoint, _kind(error)) from None
    except aws.NoRegionError:
        raise BucketError(place, "no region is known: add region=... to the URL, or set AWS_REGION") from None
    except aws.BotoCoreError as error:
        raise BucketError(place, f"{type(error).__name__} while trying to {action}") from None


def _kind(error: Exception) -> str:
    """Return the kind of a failed connection: the text of the exception may hold a signed URL."""
    kinds = {
        "ConnectTimeoutError": "no answer in time",
        "ReadTimeoutError": "no answer in time",
        "EndpointConnectionError": "no connection",
        "SSLError": "its certificate is not trusted",
        "ProxyConnectionError": "the proxy does not answer",
        "ConnectionClosedError": "it hung up",
    }
    return kinds.get(type(error).__name__, type(error).__name__)


def _refusal(location: S3Location, place: str, action: str, error: ClientError) -> BucketError:
    code = error_code(error)
    if code in CREDENTIAL_CODES:
        return BucketCredentialsError(place, f"the credentials are not accepted ({code})")
    if code in UNTOLD_CODES:
        problem = f"the server refused to {action} without a reason ({code}): the credentials have most often expired"
        return BucketCredentialsError(place, problem)
    if code in CLOCK_CODES:
        return BucketClockError(place)
    if code in MISSING_CODES:
        return BucketMissingError(location.place)
    if code in DENIED_CODES:
        return BucketDeniedError(place, action)
    reason = f"the server refused to {action} ({code or 'no reason given'})"
    if code in REGION_CODES:
        region = str(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", ""))
        right = f"region={region}" if region else "the region it was made in (region=...)"
        reason = f"the bucket is in another region than asked: put {right} into the backend's URL"
    elif code in BUSY_CODES:
        reason = f"the service is overloaded or down ({code}), also after {ATTEMPTS} attempts: try later"
    return BucketError(place, reason)
