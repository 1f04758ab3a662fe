"""How an S3 service is reached. Not here: reaching it (s3_client)."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class S3Options:
    """What is not set is what the SDK finds in its own places: AWS_* variables, ~/.aws, the machine's role."""

    endpoint_url: str | None = None
    """Of a service that is not Amazon's, such as https://s3.example.org; its buckets are addressed by path."""
    region: str | None = None
    sse: Literal["AES256", "aws:kms"] | None = "AES256"
    """Server-side encryption asked for with every object; None leaves it to the bucket."""
    kms_key_id: str | None = None
    """With aws:kms; None is the account's own key."""
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    connect_seconds: float = 10
    read_seconds: float = 60
    """The longest silence of the server, and the longest that it takes no byte."""
    attempts: int = 5
    """Of each request, by the SDK, with pauses of at most 20 s between them: so one request ends within 7 minutes."""
