"""What herald.yaml may say of health checks: what is asked beside the databases, and how long results are kept."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, field_validator

from herald_pipelines.settings.fields import Model, Name, Number, Range, Switch, Whole
from herald_pipelines.settings.urls import SecretRef

_MOST_SECONDS = 10
_LEAST_FREQUENCY = 15
"""How often the sensor looks."""


def _check_http(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is no url") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or a password")
    return url


HttpUrl = Annotated[str, AfterValidator(_check_http)]
Frequency = Annotated[Number, AfterValidator(Range(_LEAST_FREQUENCY, 1200))]
Wait = Annotated[Number, AfterValidator(Range(0.1, _MOST_SECONDS))]


class EndpointSettings(Model):
    """An address of the platform that should answer over HTTP."""

    name: Name
    url: HttpUrl
    status: Annotated[Whole, AfterValidator(Range(100, 599))] = 200
    """What it answers when it is well; redirections are not followed."""
    critical: Switch = False
    frequency_seconds: Frequency = 60.0
    timeout_seconds: Wait = 5.0


class RiotSettings(Model):
    """The Riot Games API."""

    api_key: SecretRef
    """Sent as X-Riot-Token."""
    url: str = "https://{region}.api.riotgames.com/lol/status/v4/platform-data"
    """{region} stands for each region."""
    regions: tuple[Name, ...] = ("euw1", "na1", "kr", "eun1")
    """The seed's."""
    frequency_seconds: Frequency = 60.0
    timeout_seconds: Wait = 5.0

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        _check_http(url.replace("{region}", "region"))
        return url

    @field_validator("regions")
    @classmethod
    def _check_regions(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if not regions or len(set(regions)) < len(regions):
            raise ValueError("must hold at least one region, and each once")
        return regions


class HealthSettings(Model):
    """Health checks."""

    keep_months: Annotated[Whole, AfterValidator(Range(1, 120))] = 13
    """Whole months that single results are kept; hours and days of them stay."""
    endpoints: tuple[EndpointSettings, ...] = ()
    riot: RiotSettings | None = None
    """None: it is not asked."""

    @field_validator("endpoints")
    @classmethod
    def _check_names(cls, endpoints: tuple[EndpointSettings, ...]) -> tuple[EndpointSettings, ...]:
        if len({each.name for each in endpoints}) < len(endpoints):
            raise ValueError("two of them have one name")
        return endpoints
