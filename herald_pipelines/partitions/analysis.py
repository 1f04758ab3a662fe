"""Puts reading and planning together: what is known of the partitions of a database, and what is to be done.

The assets, `herald partitions plan` and the work use this one function, so they never disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from herald_pipelines.partitions.history import read_lifecycles
from herald_pipelines.partitions.plan import CHANGES, Action, Item, Known, block, plan_partitions
from herald_pipelines.partitions.rules import fit_rules
from herald_pipelines.partitions.store import find_relations, list_dependants, read_inventory
from herald_pipelines.partitions.upcoming import Upcoming, plan_upcoming
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import PartitionSettings
from herald_pipelines.values import DatabaseIdentity


@dataclass(frozen=True)
class PartitionAnalysis:
    """The partitions of a database at one moment."""

    known: Known
    items: tuple[Item, ...]
    upcoming: tuple[Upcoming, ...]

    def to_do(self, *actions: Action) -> tuple[Item, ...]:
        """Return the items with some actions."""
        return tuple(each for each in self.items if each.action in actions)


def analyze_partitions(
    observe: Postgres,
    ops: Postgres | None,
    identity: DatabaseIdentity,
    settings: Mapping[str, PartitionSettings],
    *,
    at: datetime,
) -> PartitionAnalysis:
    """Read every partition of a database and plan. Reads only.

    Args:
        observe: the database; its catalog alone is read.
        ops: where the ledger is; None: nothing is known of archives and detached partitions.
        identity: of the database.
        settings: its rules, by schema.table.
        at: the moment of the window.

    Raises:
        UsageError: a rule does not fit.
        HeraldError: the database or the ops database could not be read.
    """
    lifecycles = {}
    if ops is not None:
        with ops.session() as remembered:
            lifecycles = read_lifecycles(remembered, identity)
    with observe.session() as session:
        inventory = read_inventory(session)
        rules = fit_rules(inventory, settings, identity.name)
        gone = [oid for oid, each in lifecycles.items() if not each.is_over and (each.detach or each.attempt)]
        known = Known(inventory, rules, lifecycles, find_relations(session, gone))
        items = plan_partitions(known, at)
        busy = [each.oid for each in items if each.action in {Action.ARCHIVE, *CHANGES}]
        items = block(items, list_dependants(session, busy))
    return PartitionAnalysis(known, items, tuple(plan_upcoming(rule, at) for rule in rules.values()))
