"""The error tree. Every error a user can cause is one of these; each carries its exit code and, where there is one, a hint.

    HeraldError            1  the work failed
    ├── UsageError         2  wrong usage or configuration: nothing was changed
    ├── GuardRefusal       3  a guard said no: nothing was changed
    ├── PermanentFailure   1  trying again cannot help (a missing right, a wrong statement)
    └── TransientFailure   1  trying again may help
        ├── DatabaseUnavailable
        ├── LockTimeout
        └── StatementTimeout

Not here: how an error is shown (the CLI) and what becomes of it in a run (the asset edge).
"""

from collections.abc import Iterable


class HeraldError(Exception):
    """A lower-case sentence for a person, without a full stop, and a hint on what to do.

    Args:
        message: names the bad value and, where they can be listed, the known ones.
        hint: what the reader can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHINT: {self.hint}" if self.hint else self.message


class UsageError(HeraldError):
    """Wrong usage or configuration; nothing was changed."""

    exit_code = 2


class GuardRefusal(HeraldError):
    """A guard refused an action that was asked for rightly; nothing was changed."""

    exit_code = 3


class PermanentFailure(HeraldError):
    """Trying again cannot help, so nobody does."""


class TransientFailure(HeraldError):
    """Trying again may help."""


class DatabaseUnavailable(TransientFailure):
    """The server did not answer, or went away."""


class LockTimeout(TransientFailure):
    """A lock was not granted within lock_timeout."""


class StatementTimeout(TransientFailure):
    """A statement ran into statement_timeout, or was cancelled."""


def unknown_value(
    what: str, value: object, known: Iterable[object], *, hint: str | None = None
) -> UsageError:
    """Return the error for a value that is not among the known ones.

    >>> unknown_value("task", "indx", ["index_rebuild"]).message
    "unknown task 'indx' (known: index_rebuild)"
    """
    names = ", ".join(sorted(str(each) for each in known)) or "none"
    return UsageError(f"unknown {what} {str(value)!r} (known: {names})", hint=hint)
