from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from herald_pipelines.database.indexes.continuity import ServerState, find_start

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATE = ServerState(
    read_at=NOON,
    started_at=NOON - 9 * HOUR,
    stats_reset_at=None,
    shared_reset_at=NOON - 99 * HOUR,
    timeline=1,
    totals={"xact_commit": 10, "blks_hit": 20},
)


def later(hours: int, **changes: object) -> ServerState:
    return replace(STATE, read_at=NOON + hours * HOUR, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"totals": {"xact_commit": 10, "blks_hit": 21}},
        {"started_at": NOON + HOUR},
    ],
    ids=["idle", "at work", "restarted"],
)
def test_a_server_that_counted_on_is_compared(changes: dict[str, object]):
    assert find_start([{"primary": STATE}], {"primary": later(2, **changes)}) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"shared_reset_at": NOON + HOUR},
        {"stats_reset_at": NOON + HOUR},
        {"timeline": 2},
        {"timeline": None},
        {"started_at": NOON - HOUR},
        {"totals": {"xact_commit": 9, "blks_hit": 2000}},
        {"totals": {"xact_commit": 10}},
    ],
    ids=["crash", "reset", "promotion", "a standby now", "another server", "counts less", "does not tell"],
)
def test_what_may_have_lost_counters_begins_afresh_for_all_servers(changes: dict[str, object]):
    for name in ("primary", "replica east"):
        before = {"primary": STATE, "replica east": STATE}
        assert find_start([before], before | {name: later(2, **changes)}) == 1


def test_another_set_of_servers_begins_afresh():
    one, two = {"primary": STATE}, {"primary": STATE, "replica east": STATE}
    assert find_start([one], two) == 1
    assert find_start([two], one) == 1


def test_the_oldest_reading_without_a_loss_since_is_the_start():
    crashed = {"shared_reset_at": NOON + HOUR}
    readings = [
        {"primary": STATE},
        {"primary": later(2, **crashed)},
        {"primary": later(3, **crashed)},
    ]
    assert find_start([], {"primary": STATE}) == 0
    assert find_start(readings, {"primary": later(4, **crashed)}) == 1
    assert find_start(readings, {"primary": later(4, shared_reset_at=NOON + 4 * HOUR)}) == 3
    # What was lost once does not come back, even where the states look alike again.
    assert find_start(readings, {"primary": later(4)}) == 3
