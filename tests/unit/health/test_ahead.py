"""Whether partitions that were made ahead suffice, at any moment between two windows of the task that makes them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from herald_pipelines.health.ahead import judge_ahead
from herald_pipelines.health.results import Status
from herald_pipelines.partitions.facts import Parent, Partition
from herald_pipelines.partitions.rules import Rule
from herald_pipelines.settings import PartitionSettings

DEFAULT_OID = 99


def partition(oid: int, bound: str) -> Partition:
    return Partition(
        oid, 1, "public", f"m_{oid}", "r", bound, is_detach_pending=False, size_bytes=0, estimated_rows=0
    )


def rule(*bounds: str, premake: int = 3, with_default: bool = False) -> Rule:
    partitions = [partition(oid, bound) for oid, bound in enumerate(bounds, start=2)]
    if with_default:
        partitions.append(partition(DEFAULT_OID, "DEFAULT"))
    parent = Parent(
        oid=1, schema="public", name="m", strategy="r", keys=1, key="at", key_type="date", type_name="date",
        default_oid=DEFAULT_OID if with_default else 0, publications=(), referenced_by=(),
        partitions=tuple(partitions),
    )  # fmt: skip
    return Rule(parent, PartitionSettings(premake=premake))


def months(first: int, last: int) -> list[str]:
    """Return bounds of months of 2026; 13 is January of the year after."""
    starts = [f"{2026 + (n - 1) // 12}-{(n - 1) % 12 + 1:02}-01" for n in range(first, last + 2)]
    return [f"FOR VALUES FROM ('{a}') TO ('{b}')" for a, b in pairwise(starts)]


def test_a_month_that_has_just_begun_has_until_the_next_window():
    begin = datetime(2026, 8, 1, tzinfo=UTC)
    # As the window of 31 July has left it: three months ahead of July.
    table = rule(*months(5, 10))
    for hours in (-1, 0, 2, 35):
        assert judge_ahead([table], begin + timedelta(hours=hours)).status is Status.HEALTHY, hours
    late = judge_ahead([table], begin + timedelta(hours=37))
    assert (late.status, late.message) == (Status.DEGRADED, "public.m lacks 1 partitions ahead")
    assert late.metrics["least_ahead"] == 2


def test_rows_that_find_no_partition_are_an_outage_unless_there_is_a_default():
    now = datetime(2026, 12, 10, tzinfo=UTC)
    found = judge_ahead([rule(*months(5, 10))], now)
    assert (found.status, found.message.split(":")[0]) == (Status.UNHEALTHY, "public.m refuses rows of now")
    found = judge_ahead([rule(*months(5, 10), with_default=True)], now)
    assert found.status is Status.DEGRADED
    assert found.message.startswith("rows of now go into the default partition of public.m")
    pending = rule(*months(5, 12), premake=0)
    assert judge_ahead([pending], now).status is Status.HEALTHY


@pytest.mark.parametrize("lower", ["'2026-01-01'", "MINVALUE"])
def test_after_one_without_an_end_nothing_is_missing(lower: str):
    assert (
        judge_ahead(
            [rule(f"FOR VALUES FROM ({lower}) TO (MAXVALUE)")], datetime(2026, 12, 10, tzinfo=UTC)
        ).status
        is Status.HEALTHY
    )


def test_what_cannot_be_made_by_itself_is_said():
    now = datetime(2026, 8, 10, tzinfo=UTC)
    uneven = [
        "FOR VALUES FROM ('2026-07-01') TO ('2026-07-11')",
        "FOR VALUES FROM ('2026-07-11') TO ('2026-08-20')",
    ]
    found = judge_ahead([rule(*uneven), rule(*months(5, 12))], now)
    assert found.status is Status.DEGRADED
    assert "differ in their steps" in found.message
    odd = judge_ahead([rule("FOR VALUES FROM ('0001-01-01 BC') TO ('2026-09-01')")], now)
    assert "cannot be read" in odd.message
    none = judge_ahead([], now)
    assert (none.status, none.metrics) == (Status.HEALTHY, {"tables": 0.0, "findings": 0.0})
