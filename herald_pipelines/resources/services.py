"""Services of the platform, stopped and started in order by commands of the operator's: systemctl unless others are named.

Not here: when they are (backup/recovery.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from herald_pipelines.errors import PermanentFailure
from herald_pipelines.resources.commands import CommandFailed, CommandTimeout, run
from herald_pipelines.values import Say


@dataclass(frozen=True)
class PlatformService:
    """One service."""

    name: str
    stop: tuple[str, ...]
    """The program that stops it and its arguments; it may be stopped already."""
    start: tuple[str, ...]
    timeout_seconds: float


def stop_services(services: Sequence[PlatformService], say: Say) -> None:
    """Stop services, the first first.

    Raises:
        PermanentFailure: one could not be stopped; those before it are.
    """
    for service in services:
        say(f"stopping {service.name}")
        try:
            run(service.stop, timeout_seconds=service.timeout_seconds)
        except (CommandFailed, CommandTimeout) as error:
            raise PermanentFailure(
                f"{service.name} could not be stopped: {error.message}", hint="stop it by hand, and go on"
            ) from error


def start_services(services: Sequence[PlatformService], say: Say) -> tuple[str, ...]:
    """Start services, the last that was stopped first; returns for each that did not start why. All are tried."""
    problems: list[str] = []
    for service in reversed(services):
        say(f"starting {service.name}")
        try:
            run(service.start, timeout_seconds=service.timeout_seconds)
        except (CommandFailed, CommandTimeout) as error:
            problems.append(f"{service.name} could not be started: {error.message}")
    return tuple(problems)
