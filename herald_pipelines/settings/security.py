"""What herald.yaml may say of security: risks that are accepted, each with its reason and a last day."""

from typing import Annotated

from pydantic import AfterValidator

from herald_pipelines.settings.fields import Day, Model, Name

_MOST_CHARACTERS = 1000


def _check_words(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"is longer than {_MOST_CHARACTERS} characters")
    return text


Words = Annotated[str, AfterValidator(_check_words)]


class AcceptedRisk(Model):
    """A finding that is known and stays, until a day."""

    finding: Words
    """A finding's id (`superuser_role:deploy`), or the name of a rule for all that it finds."""
    reason: Words
    until: Day
    """The last day (UTC) on which it is accepted."""
    databases: tuple[Name, ...] = ()
    """Where; none: everywhere."""


class SecuritySettings(Model):
    """What the scans of security leave out of their verdicts."""

    accepted: tuple[AcceptedRisk, ...] = ()
