"""Frozen: what became of a rebuild plan. Not here: carrying it out (rebuild.py)."""

from dataclasses import asdict, dataclass
from typing import Any

from herald_pipelines.database.indexes.leftovers import Leftover


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

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        return asdict(self) | {"promised_bytes": self.promised_bytes, "achieved_bytes": self.achieved_bytes}
