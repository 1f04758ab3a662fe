"""Makes the partitions that are missing ahead, one after the other, each between two ledger rows.

Not here: which ones (upcoming.py), making one (creating.py).
"""

from collections.abc import Iterable
from typing import Any

from herald_pipelines.errors import DatabaseUnavailable, GuardRefusal, HeraldError
from herald_pipelines.partitions.creating import create
from herald_pipelines.partitions.lifecycle import Step
from herald_pipelines.partitions.report import Done
from herald_pipelines.partitions.upcoming import NewPartition, Upcoming
from herald_pipelines.partitions.work import Work
from herald_pipelines.values import Outcome


def make_upcoming(work: Work, upcoming: Iterable[Upcoming]) -> list[Done]:
    """Make what is missing; where one of a table fails, those after it are left for the next run.

    One that rows in the default partition stand in the way of holds up none: the rows of later ones would lie there too.

    Raises:
        DatabaseUnavailable: the server went away.
        HeraldError: the ledger could not be written; then nothing further is done.
    """
    done: list[Done] = []
    for table in upcoming:
        for new in table.new:
            if work.left_seconds() <= 0:
                done.append(Done(new.label, Step.CREATE, Outcome.SKIPPED, "the time budget is used up"))
                break
            made, is_refused = _make(work, new)
            done.append(made)
            if made.outcome is not Outcome.DONE and not is_refused:
                break
    return done


def _make(work: Work, new: NewPartition) -> tuple[Done, bool]:
    """Make one; returns what became of it, and whether it was refused for its own rows."""
    is_refused = False
    with work.action(new.label, None, evidence_of(new)) as action:
        try:
            action.result.update(create(work, new))
        except DatabaseUnavailable:
            raise
        except HeraldError as error:
            is_refused = isinstance(error, GuardRefusal)
            action.outcome, action.reason = (
                Outcome.REFUSED if is_refused else Outcome.FAILED,
                error.message,
            )
    if action.outcome is not Outcome.DONE:
        work.say(f"not made: {new.label}: {action.reason}")
        return Done(new.label, Step.CREATE, Outcome.FAILED, action.reason), is_refused
    work.say(f"made {new.label}")
    return Done(new.label, Step.CREATE, Outcome.DONE, None, action.result), False


def evidence_of(new: NewPartition) -> dict[str, Any]:
    """Return what the ledger keeps of a partition before it is made."""
    return {
        "step": Step.CREATE.value,
        "parent": new.rule.parent.label,
        "lower": new.span.lower,
        "upper": new.span.upper,
        "like": new.sibling.label,
    }
