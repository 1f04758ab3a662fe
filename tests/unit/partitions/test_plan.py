"""What becomes of partitions, decided from frozen facts: each step asks for the proof of the one before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herald_pipelines.errors import UsageError
from herald_pipelines.partitions.facts import Inventory, Lifecycle, Parent, Partition, Relation
from herald_pipelines.partitions.lifecycle import fold_steps
from herald_pipelines.partitions.plan import Action, Item, Known, block, plan_partitions
from herald_pipelines.partitions.rules import Rule, cutoff, fit_rules
from herald_pipelines.partitions.upcoming import plan_upcoming
from herald_pipelines.settings import PartitionSettings

AT = datetime(2026, 11, 22, tzinfo=UTC)
OLD, NEW = (
    "FOR VALUES FROM ('2025-01-01') TO ('2025-02-01')",
    "FOR VALUES FROM ('2026-10-01') TO ('2026-11-01')",
)
USUAL = PartitionSettings()
PROOF = {"backup": "shop-1", "bound": OLD, "rows": 3, "digest": "a:b"}
DETACHED = {"parent": "public.m", "parent_oid": 1, "bound": OLD, "name": "public.m_old_detached_2",
            "attached_name": "public.m_old", "detached_at": "2026-11-14T23:59:00+00:00"}  # fmt: skip


def partition(oid: int, bound: str, name: str = "m_old", **changes: object) -> Partition:
    return replace(
        Partition(
            oid, 1, "public", name, "r", bound, is_detach_pending=False, size_bytes=8192, estimated_rows=3
        ),
        **changes,
    )


def parent(*partitions: Partition, **changes: object) -> Parent:
    plain = Parent(
        oid=1,
        schema="public",
        name="m",
        strategy="r",
        keys=1,
        key="at",
        key_type="date",
        type_name="date",
        default_oid=0,
        publications=(),
        referenced_by=(),
        partitions=partitions,
    )
    return replace(plain, **changes)


def plan(
    *partitions: Partition,
    rule: PartitionSettings | None = USUAL,
    lifecycles: dict[int, Lifecycle] | None = None,
    relations: dict[int, Relation] | None = None,
    at: datetime = AT,
    **changes: object,
) -> list[Item]:
    table = parent(*partitions, **changes)
    rules = {} if rule is None else {1: Rule(table, rule)}
    return list(plan_partitions(Known(Inventory((table,)), rules, lifecycles or {}, relations or {}), at))


def action(*partitions: Partition, **options: object) -> Action:
    (item,) = plan(*partitions, **options)
    return item.action


def test_nothing_is_detached_without_the_proof_of_its_archive():
    old = partition(2, OLD)
    assert action(old) is Action.ARCHIVE
    assert action(old, lifecycles={2: Lifecycle(2, "public.m_old", archive=PROOF)}) is Action.DETACH
    # That of other bounds proves nothing: the oid was given again, or the partition was made anew.
    other = {**PROOF, "bound": NEW}
    assert action(old, lifecycles={2: Lifecycle(2, "public.m_old", archive=other)}) is Action.ARCHIVE
    assert action(old, rule=PartitionSettings(archive=False)) is Action.DETACH


@pytest.mark.parametrize(
    ("bound", "changes"),
    [
        (NEW, {}),
        ("DEFAULT", {"default_oid": 2}),
        ("FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)", {}),
        ("FOR VALUES FROM ('2020-01-01') TO ('infinity')", {}),
        ("FOR VALUES FROM ('0044-03-15 BC') TO ('2020-01-01')", {}),
    ],
)
def test_what_never_expires(bound: str, changes: dict[str, int]):
    assert action(partition(2, bound), **changes) is Action.KEEP


@pytest.mark.parametrize("changes", [{"kind": "f"}, {"kind": "p", "has_foreign": True}])
def test_foreign_tables_are_left_to_people(changes: dict[str, object]):
    assert action(partition(2, OLD, **changes)) is Action.BLOCKED


def test_without_a_rule_nothing_is_done():
    assert action(partition(2, OLD), rule=None) is Action.KEEP
    assert action(partition(2, OLD), rule=PartitionSettings(keep="forever")) is Action.KEEP


def test_the_day_of_the_window_decides():
    rule = PartitionSettings(keep="30 days")
    bound = "FOR VALUES FROM ('2026-10-01') TO ('2026-10-23')"
    assert action(partition(2, bound), rule=rule, at=AT) is Action.ARCHIVE
    assert action(partition(2, bound), rule=rule, at=AT - timedelta(days=1)) is Action.KEEP


def test_what_others_need_stays():
    found = plan(partition(2, OLD), lifecycles={2: Lifecycle(2, "public.m_old", archive=PROOF)})
    (item,) = block(found, {2: ("view public.v",)})
    assert (item.action, "view public.v" in item.reason) == (Action.BLOCKED, True)
    assert block(found, {3: ("view public.v",)})[0].action is Action.DETACH


def test_a_pending_detaching_is_ended_where_it_is_ours():
    pending = partition(2, OLD, is_detach_pending=True)
    begun = {2: Lifecycle(2, "public.m_old", archive=PROOF, attempt={"parent": "public.m", "parent_oid": 1})}
    assert action(pending, lifecycles=begun) is Action.SETTLE
    assert action(pending) is Action.BLOCKED


def test_a_detached_table_is_dropped_after_its_grace_and_only_under_its_name():
    table = Relation(2, "public", "m_old_detached_2", "r", is_partition=False, size_bytes=8192)
    life = Lifecycle(2, "public.m_old", archive=PROOF, detach=DETACHED)

    def becomes(at: datetime = AT, **changes: object) -> Action:
        (item,) = plan(lifecycles={2: replace(life, **changes)}, relations={2: table}, at=at)
        return item.action

    assert becomes(AT) is Action.DROP
    assert becomes(AT - timedelta(days=2)) is Action.WAIT
    assert becomes(archive=None) is Action.ARCHIVE
    assert becomes(detach=None, attempt=DETACHED) is Action.SETTLE
    # What somebody renamed, or what the rule keeps by now, is left alone.
    (item,) = plan(
        lifecycles={2: replace(life, detach=None, attempt=DETACHED)},
        relations={2: replace(table, name="kept_by_somebody")},
    )
    assert item.action is Action.BLOCKED
    (item,) = plan(lifecycles={2: life}, relations={2: table}, rule=PartitionSettings(keep="forever"))
    assert (item.action, "its rule keeps it now" in item.reason) == (Action.BLOCKED, True)
    (item,) = plan(lifecycles={2: life}, relations={2: replace(table, name="kept_by_somebody")})
    assert item.action is Action.BLOCKED
    (item,) = plan(lifecycles={2: life}, relations={})
    assert item.action is Action.CLOSE
    assert plan(lifecycles={2: replace(life, is_over=True)}, relations={2: table}) == []
    (item,) = plan(lifecycles={2: life}, relations={2: table}, rule=None)
    assert item.action is Action.BLOCKED


def test_what_was_brought_back_is_left_alone_for_a_while():
    back = {2: Lifecycle(2, "public.m_old", archive=PROOF, returned_at="2026-11-20T00:00:00+00:00")}
    assert action(partition(2, OLD), lifecycles=back) is Action.KEEP
    assert action(partition(2, OLD), lifecycles=back, at=AT + timedelta(days=40)) is Action.DETACH


def row(step: str, outcome: str, oid: int = 2, **result: object) -> dict[str, object]:
    return {"oid": oid, "object_name": "public.m_old", "outcome": outcome, "started_at": AT, "finished_at": AT,
            "evidence": {"step": step, "parent": "public.m", "parent_oid": 1, "bound": OLD}, "result": result}  # fmt: skip


def test_the_ledger_proves_what_is_done_and_nothing_else():
    rows = [row("archive", "failed"), row("archive", "interrupted")]
    assert fold_steps(rows)[2].archive is None
    rows.append(row("archive", "done", **PROOF))
    assert fold_steps(rows)[2].archive == PROOF
    assert fold_steps([*rows, row("detach", "skipped", stale=True)])[2].archive is None
    rows.append(row("detach", "interrupted"))
    assert (fold_steps(rows)[2].detach, fold_steps(rows)[2].attempt) == (None, rows[-1]["evidence"])
    # What failed and left it attached is not ours any more; what is only planned proves nothing, nor its name.
    assert fold_steps([*rows, row("detach", "failed", attached=True)])[2].attempt is None
    assert fold_steps([*rows, row("detach", "skipped", attached=True)])[2].attempt is None
    rows.append(row("detach", "done", **DETACHED))
    assert fold_steps(
        [*rows, {**row("drop", "planned"), "object_name": "public.m_old_detached_2"}]
    ) == fold_steps(rows)
    assert fold_steps([row("detach", "planned")]) == {}
    assert (fold_steps(rows)[2].detach, fold_steps(rows)[2].attempt) == (DETACHED, None)
    assert fold_steps([*rows, row("drop", "interrupted")])[2].is_drop_open
    assert fold_steps([*rows, row("attach", "done")])[2].detach is None
    # It may have been attached before its run died.
    assert fold_steps([*rows, row("attach", "interrupted")])[2].returned_at == AT.isoformat()
    over = [*rows, row("drop", "done")]
    assert fold_steps(over)[2].is_over
    # The oid is given again: what was proven of the other table proves nothing.
    assert fold_steps([*over, row("archive", "failed")])[2] == replace(
        fold_steps([row("archive", "failed")])[2]
    )


@given(
    st.sampled_from(["1 day", "3 weeks", "1 month", "18 months", "1 year", "99999 years"]),
    st.integers(0, 36_500),
)
def test_a_later_window_lets_no_less_expire(keep: str, day: int):
    moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=day)
    ends = [cutoff(keep, moment + timedelta(days=days)) for days in range(40)]
    assert all(
        earlier is not None and later is not None and earlier <= later for earlier, later in pairwise(ends)
    )
    assert ends[0] is not None
    assert ends[0] < moment


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"strategy": "l"}, "by list"),
        ({"keys": 2}, "2 columns"),
        ({"key": None}, "an expression"),
        ({"type_name": "int8", "key_type": "bigint"}, "bigint, no time"),
    ],
)
def test_a_rule_for_what_is_no_range_of_time_is_refused(changes: dict[str, object], reason: str):
    with pytest.raises(UsageError, match=reason):
        fit_rules(Inventory((parent(**changes),)), {"public.m": PartitionSettings()}, "shop")


def test_a_rule_for_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(UsageError, match=r"'public.n' \(known: public.m\)") as caught:
        fit_rules(Inventory((parent(),)), {"public.n": PartitionSettings()}, "shop")
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="twice"):
        fit_rules(
            Inventory((parent(),)),
            {"public.m": PartitionSettings(), '"public"."m"': PartitionSettings()},
            "shop",
        )


def monthly(*months: int) -> tuple[Partition, ...]:
    return tuple(
        partition(
            10 + month,
            f"FOR VALUES FROM ('2026-{month:02}-01') TO ('{2026 + month // 12}-{month % 12 + 1:02}-01')",
            f"m_2026_{month:02}",
        )
        for month in months
    )


@pytest.mark.parametrize(
    ("months", "premake", "expected"),
    [
        ((10, 11), 2, ["m_2026_12", "m_2027_01"]),
        ((10, 11, 12), 1, []),
        # Behind: the present month first.
        ((8, 9), 1, ["m_2026_10", "m_2026_11", "m_2026_12"]),
        ((10,), 0, ["m_2026_11"]),
        ((10, 11), 0, []),
    ],
)
def test_what_is_missing_ahead(months: tuple[int, ...], premake: int, expected: list[str]):
    found = plan_upcoming(Rule(parent(*monthly(*months)), PartitionSettings(premake=premake)), AT)
    assert [each.name for each in found.new] == expected
    assert found.problem is None
    assert all(before.span.upper == after.span.lower for before, after in pairwise(found.new))


FAR = partition(99, "FOR VALUES FROM ('2099-01-01') TO ('2099-02-01')", "m_2099_01")


@pytest.mark.parametrize(
    ("partitions", "premake", "expected", "ahead"),
    [
        # One that lies far ahead covers nothing before it.
        ((*monthly(10, 11), FAR), 1, ["m_2026_12"], 0),
        ((*monthly(10, 11, 12), FAR), 1, [], 1),
        # A gap ahead is filled, and one at the moment.
        ((*monthly(9, 10, 11), partition(98, "FOR VALUES FROM ('2027-01-01') TO ('2027-02-01')", "m_2027_01")), 3,
         ["m_2026_12", "m_2027_02"], 0),
        (monthly(9, 10, 12), 1, ["m_2026_11"], 0),
        # A table that begins later has no gap before it.
        ((FAR,), 1, [], 1),
    ],
)  # fmt: skip
def test_gaps_ahead_are_seen(
    partitions: tuple[Partition, ...], premake: int, expected: list[str], ahead: int
):
    found = plan_upcoming(Rule(parent(*partitions), PartitionSettings(premake=premake)), AT)
    assert [each.name for each in found.new] == expected
    assert (found.ahead, found.problem) == (ahead, None)


def test_a_gap_that_is_no_step_is_told_of():
    odd = partition(98, "FOR VALUES FROM ('2026-12-10') TO ('2027-01-01')", "m_odd")
    found = plan_upcoming(Rule(parent(*monthly(10, 11), odd), PartitionSettings(premake=1)), AT)
    assert (found.new, "gap before public.m_odd" in (found.problem or "")) == ((), True)


@pytest.mark.parametrize(
    ("partitions", "reason"),
    [
        ((), "make the first by hand"),
        ((partition(2, "FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)"),), "no upper bound"),
        ((partition(2, OLD), partition(3, "FOR VALUES FROM ('2025-02-01') TO ('2025-02-04')")), "differ in their steps"),
        ((partition(2, OLD, kind="p"),), "partitioned itself"),
        ((partition(2, "FOR VALUES FROM ('0044-03-15 BC') TO ('2020-01-01')"),), "cannot be read"),
    ],
)  # fmt: skip
def test_why_none_can_be_made(partitions: tuple[Partition, ...], reason: str):
    found = plan_upcoming(Rule(parent(*partitions), PartitionSettings()), AT)
    assert found.new == ()
    assert reason in (found.problem or "")


def test_a_table_that_nobody_looked_after_for_years_gets_no_thousand_partitions():
    day = partition(2, "FOR VALUES FROM ('2005-01-01') TO ('2005-01-02')")
    assert len(plan_upcoming(Rule(parent(day), PartitionSettings()), AT).new) == 100
