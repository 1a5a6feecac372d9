"""The URLs of buckets that the official CLI takes, and what is refused of them."""

from __future__ import annotations

import pytest

from labctl.engine.state import BackendUrlError, FileBackend, S3Backend, open_backend
from labctl.engine.state.s3_url import S3Location, parse_s3_url


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://lab-state", S3Location(bucket="lab-state")),
        ("s3://lab-state/", S3Location(bucket="lab-state")),
        ("s3://lab-state/teams/compute/", S3Location(bucket="lab-state", prefix="teams/compute/")),
        ("s3://lab-state/a%20b", S3Location(bucket="lab-state", prefix="a b/")),
        (
            "s3://lab-state?region=eu-north-1&profile=lab&awssdk=v2",
            S3Location(bucket="lab-state", region="eu-north-1", profile="lab"),
        ),
        (
            "s3://lab-state?endpoint=https://minio.example.org:9000&s3ForcePathStyle=true",
            S3Location(bucket="lab-state", endpoint="https://minio.example.org:9000", path_style=True),
        ),
        (
            "s3://lab-state?endpoint=http%3A%2F%2F127.0.0.1%3A9000&use_path_style=1&disable_https=T",
            S3Location(bucket="lab-state", endpoint="http://127.0.0.1:9000", path_style=True, plain_http=True),
        ),
        (
            "s3://lab-state?disableSSL=true&endpoint=127.0.0.1:9000&hostname_immutable=true",
            S3Location(bucket="lab-state", endpoint="http://127.0.0.1:9000", path_style=True, plain_http=True),
        ),
        (
            "s3://lab-state?endpoint=minio.example.org&s3ForcePathStyle=false",
            S3Location(bucket="lab-state", endpoint="https://minio.example.org"),
        ),
        (
            "s3://lab-state?ssetype=aws:kms&kmskeyid=alias/state&fips=true&dualstack=true&accelerate=false",
            S3Location(bucket="lab-state", encryption="aws:kms", kms_key="alias/state", fips=True, dualstack=True),
        ),
    ],
)
def test_is_read_as_the_official_cli_reads_it(url: str, location: S3Location) -> None:
    assert parse_s3_url(url) == location


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://", "'' is not the name of a bucket"),
        ("s3://Lab_State", "'Lab_State' is not the name of a bucket"),
        ("s3://lab-state#x", "nothing may follow a #"),
        ("s3://lab-state?regio=eu", "unknown parameter 'regio'; known are accelerate, awssdk, disableSSL"),
        ("s3://lab-state?use_path_style=yes", "use_path_style is true or false"),
        ("s3://lab-state?anonymous=true", "anonymous: a state needs an owner"),
        ("s3://lab-state?ssetype=none", "ssetype is one of AES256, aws:kms, aws:kms:dsse"),
        ("s3://lab-state?endpoint=ftp://x", "endpoint is a URL such as https://s3.example.org or a host name"),
        ("s3://lab-state?endpoint=https://x?y=1", "endpoint is a URL"),
        ("s3://key:canary@lab-state", "take the credentials out of the URL"),
        ("s3://lab-state?endpoint=https://key:canary@x", "take the credentials out of its endpoint"),
        ("s3://lab-state?secret_key=canary", "unknown parameter 'secret_key'"),
        ("s3://key:canary@[lab-state", "no bucket's name has brackets"),
        ("s3://lab-state?endpoint=https://canary:99999", "endpoint is a URL"),
        ("s3://lab-state?endpoint=https://host:canary", "endpoint is a URL"),
        ("s3://lab-state?endpoint=https://[::1", "endpoint is a URL"),
    ],
)
def test_is_refused_by_name_and_without_its_values(url: str, message: str) -> None:
    with pytest.raises(BackendUrlError) as caught:
        parse_s3_url(url)
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgres://ada:canary@host/states", "https://canary@api.example.org", "azblob://x@canary@y"]
)
def test_what_is_no_backend_is_told_without_its_password(url: str) -> None:
    with pytest.raises(BackendUrlError, match=r"://\.\.\.@.* is not a state backend: give a folder") as caught:
        open_backend(url)
    assert "canary" not in str(caught.value)


def test_scheme_decides(tmp_path: object) -> None:
    assert isinstance(open_backend("s3://lab-state"), S3Backend)
    assert isinstance(open_backend(f"file://{tmp_path}"), FileBackend)
