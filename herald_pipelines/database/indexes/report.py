"""Frozen: what became of a rebuild plan, and the same as rows for machines. Not here: carrying it out (rebuild.py)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from herald_pipelines.database.indexes.plan import RebuildPlan, RebuildStep
from herald_pipelines.values import Outcome


@dataclass(frozen=True)
class Rebuilt:
    """One index that was rebuilt."""

    name: str
    oid: int
    """Before; REINDEX CONCURRENTLY gives the index another one."""
    index_oid: int
    """After."""
    size_before_bytes: int
    size_after_bytes: int
    promised_bytes: int
    achieved_bytes: int
    seconds: float


@dataclass(frozen=True)
class NotRebuilt:
    """One index of the plan that was not rebuilt, and why."""

    name: str
    oid: int
    reason: str


@dataclass(frozen=True)
class Leftover:
    """One invalid index that an interrupted rebuild of ours left."""

    oid: int
    name: str
    """Qualified."""
    outcome: Outcome
    """Done: it was dropped. Refused: this role may not. Skipped and failed: the next run tries again."""
    reason: str

    @property
    def is_kept(self) -> bool:
        """Whether it is still there."""
        return self.outcome is not Outcome.DONE


@dataclass(frozen=True)
class RebuildReport:
    """What became of a plan."""

    done: tuple[Rebuilt, ...]
    skipped: tuple[NotRebuilt, ...]
    failed: tuple[NotRebuilt, ...]
    leftovers: tuple[Leftover, ...]
    """Found from this run and earlier ones, dropped or not."""

    @property
    def promised_bytes(self) -> int:
        """What the rebuilds that were done had promised."""
        return sum(each.promised_bytes for each in self.done)

    @property
    def achieved_bytes(self) -> int:
        """What they reclaimed."""
        return sum(each.achieved_bytes for each in self.done)


def describe_rebuilds(
    plan: RebuildPlan, report: RebuildReport | None, forbidden: Mapping[int, str] | None = None
) -> list[dict[str, Any]]:
    """Return a JSON-able row an index that was planned for or left out: what was promised, what became of it.

    Args:
        plan: the indexes.
        report: what became of them; None when the plan is all.
        forbidden: why the role that would rebuild them may not, by oid.
    """
    done = {each.oid: each for each in report.done} if report else {}
    fates: dict[int, tuple[str, str]] = {
        oid: ("refused", reason) for oid, reason in (forbidden or {}).items()
    }
    if report is not None:
        fates |= {each.oid: (each.outcome.value, each.reason) for each in report.leftovers}
        fates |= {each.oid: ("failed", each.reason) for each in report.failed}
        fates |= {each.oid: ("skipped", each.reason) for each in report.skipped}
    rows: list[dict[str, Any]] = []
    for index in (*plan.steps, *plan.skipped):
        result = done.get(index.oid)
        plain = ("planned", None) if isinstance(index, RebuildStep) else ("skipped", index.reason)
        outcome, reason = ("done", None) if result else fates.get(index.oid, plain)
        rows.append(
            {
                "schema": index.schema,
                "table": index.table,
                "index": index.index,
                "size_bytes": index.size_bytes,
                "size_after_bytes": result.size_after_bytes if result else None,
                "promised_bytes": index.promised_bytes,
                "achieved_bytes": result.achieved_bytes if result else None,
                "seconds": round(result.seconds, 3) if result else None,
                "outcome": outcome,
                "reason": reason,
            }
        )
    return rows
