"""The adapter to HTTP: one GET with a timeout. Not here: what an answer means."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests

from herald_pipelines.errors import TransientFailure


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    seconds: float
    """Until its headers were there."""


def get(url: str, *, timeout_seconds: float, headers: Mapping[str, str] | None = None) -> Answer:
    """Ask a server; redirections are not followed, the body is not read, and no proxy or .netrc is asked.

    Raises:
        TransientFailure: no answer; the text holds no header that was sent.
    """
    began = time.monotonic()
    with requests.Session() as session:
        session.trust_env = False
        try:
            with session.get(
                url, headers=dict(headers or {}), timeout=timeout_seconds, allow_redirects=False, stream=True
            ) as response:
                names = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, names, time.monotonic() - began)
        except requests.Timeout:
            raise TransientFailure(f"no answer within {timeout_seconds:g} s") from None
        except requests.RequestException as error:
            raise TransientFailure(f"no answer: {_reason(error)}") from None


def _reason(error: requests.RequestException) -> str:
    cause: object = error.args[0] if error.args else error
    reason: object = getattr(cause, "reason", cause)
    text = str(reason)
    return text.rpartition(": ")[2] or type(error).__name__
