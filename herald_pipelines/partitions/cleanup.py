"""Carries a plan out: settles, detaches and drops, one partition after the other, each step between two ledger rows.

A step is only taken on the ledger's proof of the one before, and where there is an archive, only while the store has it with
its proof. Not here: deciding (plan.py), the changes themselves (detaching.py, dropping.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from herald_pipelines.backup.facts import Kind, Scope
from herald_pipelines.backup.inventory import Backup, Catalog
from herald_pipelines.errors import DatabaseUnavailable, HeraldError, PermanentFailure
from herald_pipelines.partitions.detaching import detach, read_attachment
from herald_pipelines.partitions.dropping import Stale, drop, require_unchanged
from herald_pipelines.partitions.facts import Content, Parent
from herald_pipelines.partitions.lifecycle import ATTACHED, GONE, STALE, Step
from herald_pipelines.partitions.plan import CHANGES, Action, Item
from herald_pipelines.partitions.report import Done
from herald_pipelines.partitions.work import Work, is_foreign_key_violation
from herald_pipelines.values import Outcome

STEPS = {
    Action.SETTLE: Step.DETACH,
    Action.DETACH: Step.DETACH,
    Action.DROP: Step.DROP,
    Action.CLOSE: Step.DROP,
}
ORDER = (Action.SETTLE, Action.CLOSE, Action.DETACH, Action.DROP)
OUT_OF_TIME = "the time budget is used up"


def clean_up(
    work: Work, items: Iterable[Item], parents: Mapping[int, Parent], catalog: Catalog | None
) -> list[Done]:
    """Do what is to be done, interrupted steps first.

    Args:
        work: the session, the ledger and the time.
        items: of the plan.
        parents: partitioned tables by oid.
        catalog: of the store; None where no rule archives.

    Raises:
        DatabaseUnavailable: the server went away; the next run goes on.
        HeraldError: the ledger could not be written; then nothing further is done.
    """
    wanted = [each for each in items if each.action in CHANGES]
    wanted.sort(key=lambda each: ORDER.index(each.action))
    done: list[Done] = []
    for item in wanted:
        if work.left_seconds() <= 0:
            done.append(Done(item.name, STEPS[item.action], Outcome.SKIPPED, OUT_OF_TIME))
            continue
        work.say(f"{item.action}: {item.name} ({item.reason})")
        done.append(_Cleaner(work, parents, catalog).take(item))
        if done[-1].reason:
            work.say(f"{item.name}: {done[-1].reason}")
    return done


class _Cleaner:
    def __init__(self, work: Work, parents: Mapping[int, Parent], catalog: Catalog | None) -> None:
        self._work, self._parents, self._catalog = work, parents, catalog

    def take(self, item: Item) -> Done:
        step = STEPS[item.action]
        name = attached_label(item)
        if item.action is Action.CLOSE:
            return self._close(item, name)
        evidence = {"step": step.value, **self._evidence(item)}
        # What the ledger itself raises ends the run: without its rows nothing further is done.
        with self._work.action(name, item.oid, evidence) as action:
            try:
                action.result.update(self._detach(item) if step is Step.DETACH else self._drop(item))
            except DatabaseUnavailable:
                raise
            except HeraldError as error:
                action.outcome, action.reason = Outcome.FAILED, error.message
                if isinstance(error, Stale):
                    action.outcome, action.result[STALE] = Outcome.SKIPPED, True
                elif is_foreign_key_violation(error):
                    action.outcome, action.reason = Outcome.SKIPPED, f"rows refer to it: {error.message}"
                if step is Step.DETACH and self._is_as_before(item.oid):
                    action.result[ATTACHED] = True
        return Done(item.name, step, action.outcome, action.reason, action.result)

    def _is_as_before(self, oid: int) -> bool:
        """Whether a detaching that failed changed nothing."""
        try:
            state = read_attachment(self._work, oid)
        except DatabaseUnavailable:
            raise
        except HeraldError:
            return False
        return state["is_partition"] and not state["is_detach_pending"]

    def _close(self, item: Item, name: str) -> Done:
        was_ours = item.lifecycle is not None and item.lifecycle.is_drop_open
        outcome = Outcome.DONE if was_ours else Outcome.SKIPPED
        evidence = {"step": Step.DROP.value}
        result = {"settled": True} if was_ours else {GONE: True}
        self._work.record(outcome, name, item.oid, evidence, reason=item.reason, result=result)
        return Done(item.name, Step.DROP, outcome, item.reason)

    def _evidence(self, item: Item) -> dict[str, Any]:
        lifecycle = item.lifecycle
        archive = dict(lifecycle.archive or {}) if lifecycle else {}
        return {
            **self._place(item),
            "archive": archive.get("backup"),
            "rows": archive.get("rows"),
            "digest": archive.get("digest"),
            "size_bytes": item.size_bytes,
            "reason": item.reason,
        }

    def _place(self, item: Item) -> dict[str, Any]:
        """Say where it is or was attached."""
        if item.partition is not None:
            parent = self._parents[item.partition.parent_oid]
            return {"parent": parent.label, "parent_oid": parent.oid, "bound": item.partition.bound}
        lifecycle = item.lifecycle
        said = (lifecycle.detach or lifecycle.attempt or {}) if lifecycle else {}
        return {key: said.get(key) for key in ("parent", "parent_oid", "bound")}

    def _detach(self, item: Item) -> dict[str, Any]:
        place = self._place(item)
        parent = self._parents.get(place["parent_oid"])
        if parent is None or item.rule is None:
            raise PermanentFailure(f"{place['parent']} is gone, or has no rule any more")
        # One that is half detached is ended whatever became of its archive: its rows are invisible, and dropping asks again.
        archived = self._archived(item) if item.action is Action.DETACH else None
        if item.partition is not None and archived is not None:
            require_unchanged(self._work, item.oid, item.partition.sql, item.name, archived)
        name = attached_label(item).removeprefix(_schema(item) + ".")
        return {**detach(self._work, parent, item.oid, name), "bound": place["bound"]}

    def _drop(self, item: Item) -> dict[str, Any]:
        if item.relation is None or item.lifecycle is None or item.lifecycle.detach is None:
            raise PermanentFailure(f"the ledger has no proof that {item.name} was detached")
        archived = self._archived(item)
        content = drop(self._work, item.relation, archived)
        return {"rows": content.rows if content else None, "freed_bytes": item.relation.size_bytes}

    def _archived(self, item: Item) -> Content | None:
        """Return what the archive of a partition holds; None where its rule archives nothing.

        Raises:
            Stale: the store does not have it, or not proven.
            PermanentFailure: the ledger proves no archive.
        """
        if item.rule is None or not item.rule.settings.archive:
            return None
        proof = item.lifecycle.archive if item.lifecycle else None
        if proof is None:
            raise PermanentFailure(f"the ledger has no proof of an archive of {item.name}")
        content = Content(proof["rows"], proof["digest"])
        backup = find_archive(self._catalog, proof["backup"])
        held = backup.manifest.partition if backup else None
        if backup is None or held is None or backup.missing or backup.proof(Scope.RESTORED) is None:
            raise Stale(f"its archive {proof['backup']} is not in the store with its proof")
        if Content(held.rows, held.digest) != content:
            raise Stale(f"its archive {proof['backup']} holds other rows than the ledger says")
        return content


def find_archive(catalog: Catalog | None, archive_id: str) -> Backup | None:
    """Return the archive of an id; None where there is none."""
    found = catalog.of(Kind.PARTITION) if catalog is not None else ()
    return next((each for each in found if each.manifest.id == archive_id), None)


def attached_label(item: Item) -> str:
    """Return schema.name of a partition as it is or was attached."""
    if item.partition is not None or item.lifecycle is None:
        return item.name
    return item.lifecycle.name


def _schema(item: Item) -> str:
    table = item.partition or item.relation
    return table.schema if table else ""
