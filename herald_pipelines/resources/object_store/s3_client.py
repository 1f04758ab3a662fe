"""The client of S3, and its errors in a person's words. Slow to import, so imported by who uses it (open_store).

Not here: what is asked of it (s3_store, s3_upload).
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - the SDK's name
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    PaginationError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from dagster_aws.s3 import S3Resource
from urllib3.exceptions import HTTPError

from herald_pipelines.errors import HeraldError, UsageError
from herald_pipelines.resources.object_store.base import ObjectMissing, StoreRefused, StoreUnavailable
from herald_pipelines.resources.object_store.s3_options import S3Options

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_PASSING_ERRORS = (
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    HTTPError,
    IncompleteReadError,
    OSError,
    PaginationError,
    ResponseParserError,
)
_PASSING_CODES = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "NoSuchUpload",
        "OperationAborted",
        "RequestTimeout",
        "Throttling",
        "ThrottlingException",
        "XAmzContentChecksumMismatch",
    }
)
"""Codes of status 4xx that another try may not meet; those of 429 and 5xx do not count by their code."""
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_MISSING = ("NoSuchKey", "404")
_CREDENTIALS = "check the access key, its secret and the session token"
_REGION = "name the region of the bucket"
_HINTS = {
    "AccessDenied": "the credentials lack a right; without s3:ListBucket a missing object is refused like this too",
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": _CREDENTIALS,
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "NoSuchBucket": "correct the url, or make the bucket: herald makes none",
    "NoSuchUpload": "somebody else gave the upload up",
    "PermanentRedirect": _REGION,
    "PreconditionFailed": "it was replaced meanwhile",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "SignatureDoesNotMatch": _CREDENTIALS,
}
_SHOWN_CHARACTERS = 300


class BoundedS3Resource(S3Resource):
    """Dagster's S3Resource with timeouts: its own client has the SDK's, a minute each, and takes no others."""

    connect_seconds: float
    read_seconds: float

    def get_client(self) -> "S3Client":
        """Return a client whose requests end in a bounded time."""
        session = boto3.session.Session(profile_name=self.profile_name)
        return session.client(  # pyright: ignore[reportUnknownMemberType] - of the other services no types are here
            "s3",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            use_ssl=self.use_ssl,
            verify=self.verify,
            aws_access_key_id=self.aws_access_key_id,
            aws_secret_access_key=self.aws_secret_access_key,
            aws_session_token=self.aws_session_token,
            config=Config(
                connect_timeout=self.connect_seconds,
                read_timeout=self.read_seconds,
                retries={"mode": "standard", "total_max_attempts": self.max_attempts},
                tcp_keepalive=True,
                user_agent_extra="herald-pipelines",
                # Amazon takes both; elsewhere a name for each bucket is rare.
                s3={"addressing_style": "path" if self.endpoint_url else "auto"},
            ),
        )


def make_client(options: S3Options) -> "S3Client":
    """Return a client; nothing is asked of the service yet.

    Raises:
        UsageError: the SDK takes the options for wrong, or its own files.
    """
    try:
        return BoundedS3Resource(
            region_name=options.region,
            endpoint_url=options.endpoint_url,
            max_attempts=options.attempts,
            aws_access_key_id=options.access_key_id,
            aws_secret_access_key=options.secret_access_key,
            aws_session_token=options.session_token,
            connect_seconds=options.connect_seconds,
            read_seconds=options.read_seconds,
        ).get_client()
    except (BotoCoreError, ValueError) as error:
        raise UsageError(f"the S3 client cannot be made: {_shorten(str(error))}") from None


def code_of(error: ClientError) -> str:
    """Return S3's code of an error, or the status where the answer had no body, as those to HEAD have none."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def telling(what: str) -> Generator[None]:
    """Tell an error of the SDK in a person's words; for blocks that ask S3, and read its answers, only.

    Args:
        what: what could not be done, such as "s3://backups/shop cannot be read".

    Raises:
        ObjectMissing: S3 has no such object.
        StoreUnavailable: it may pass.
        StoreRefused: it does not by itself.
    """
    try:
        yield
    except ClientError as error:
        raise _from_answer(what, error) from error
    except KeyError as error:
        raise StoreUnavailable(f"{what}: the answer has no {error.args[0]}") from error
    except (BotoCoreError, *_PASSING_ERRORS) as error:
        is_certificate = isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
        passes = isinstance(error, _PASSING_ERRORS) and not is_certificate
        kind = StoreUnavailable if passes else StoreRefused
        raise kind(f"{what}: {_shorten(str(error))}") from error


def _from_answer(what: str, error: ClientError) -> HeraldError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _MISSING:
        return ObjectMissing(f"{what}: there is no such object")
    passes = code in _PASSING_CODES or status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR
    kind = StoreUnavailable if passes else StoreRefused
    said = error.response.get("Error", {}).get("Message", "")
    return kind(f"{what}: {code} {_shorten(said)}".rstrip(), hint=_HINTS.get(code))


def _shorten(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    line = line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."
    # not the letter of an abbreviation such as SSL
    return line if line[1:2].isupper() else line[:1].lower() + line[1:]
