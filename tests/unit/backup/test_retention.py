"""The newest proven backup stays, whatever else is true; in doubt nothing goes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import NOW, catalog, stored

from herald_pipelines.backup.facts import Kind, Scope
from herald_pipelines.backup.inventory import Backup, Catalog, Problem
from herald_pipelines.backup.retention import (
    CLOCK_TOLERANCE,
    Group,
    RetentionPlan,
    find_left,
    is_proven,
    plan_forgetting,
    plan_retention,
)
from herald_pipelines.errors import GuardRefusal, UsageError
from herald_pipelines.settings.backup import RetentionSettings

FULL, RESTORED, STORED = Scope.FULL, Scope.RESTORED, Scope.STORED
SETTINGS = RetentionSettings(keep_days=30, keep_count=3)
SHOP = Group(Kind.DATABASE, "shop", "db1")
DAILY = tuple(stored(day, FULL) for day in range(60))


def plan(*backups: Backup, **changes: int) -> RetentionPlan:
    return plan_retention(catalog(*backups), SETTINGS.model_copy(update=changes), NOW)


def doomed_days(found: RetentionPlan) -> list[int]:
    return sorted(round((NOW - each.backup.manifest.started_at).days) for each in found.doomed)


def reasons(found: RetentionPlan) -> list[str]:
    return [each.reason for each in found.decisions]


def test_what_is_older_than_keep_days_goes() -> None:
    assert doomed_days(plan(*DAILY)) == list(range(31, 60))


def test_keep_count_proven_ones_stay_whatever_their_age() -> None:
    found = plan(stored(1), *(stored(day, FULL) for day in range(40, 50)))
    assert doomed_days(found) == list(range(43, 50))
    assert "one of the 3 newest that are proven" in reasons(found)


def test_the_newest_restored_one_stays_among_many_newer_that_were_only_verified() -> None:
    found = plan(*DAILY[:58], stored(58.5, FULL, RESTORED), DAILY[59])
    assert doomed_days(found) == [*range(31, 58), 59]
    assert "the newest that was restored" in reasons(found)


def test_without_a_restored_one_the_newest_verified_in_full_stays() -> None:
    found = plan(stored(1), stored(2), *(stored(day, FULL) for day in (50, 51)), keep_count=1)
    assert doomed_days(found) == [51]
    assert "the newest that was verified in full" in reasons(found)


@pytest.mark.parametrize(
    "weak", [{}, {"failed": True}, {"missing": ("dump",)}], ids=["unproven", "failed", "broken"]
)
def test_what_is_not_proven_does_not_count_as_kept(weak: dict[str, object]) -> None:
    """A month of failing backups deletes no good one."""
    bad = [stored(day, *([FULL] if weak else []), **weak) for day in range(40)]
    good = [stored(day, FULL) for day in range(40, 44)]
    assert doomed_days(plan(*bad, *good)) == [*range(31, 40), 43]


def test_stored_bytes_alone_prove_nothing() -> None:
    assert doomed_days(plan(*(stored(day, STORED) for day in range(60)))) == []


def test_a_restored_one_that_failed_since_is_not_the_one_to_keep() -> None:
    found = plan(stored(0, FULL), stored(40, RESTORED), stored(39, RESTORED, failed=True), keep_count=1)
    assert doomed_days(found) == [39]


def test_unproven_ones_stay_until_enough_proven_ones_do() -> None:
    found = plan(stored(1, FULL), stored(35), stored(36))
    assert doomed_days(found) == []
    assert "only 1 of the 3 backups to keep are proven" in reasons(found)


def test_a_held_one_stays() -> None:
    held = stored(59.5, FULL, is_held=True)
    found = plan(*DAILY[:59], held)
    assert doomed_days(found) == list(range(31, 59))
    assert reasons(found)[0] == "held"


def test_each_database_host_and_kind_is_decided_by_itself() -> None:
    others = [
        stored(50, FULL, name="other"),
        stored(50, FULL, host="db2"),
        stored(50, FULL, kind=Kind.APPLICATION),
    ]
    found = plan(*DAILY, *others)
    assert doomed_days(found) == list(range(31, 60))
    assert [str(group) for group, _ in found.doubts] == [
        "application shop of db1",
        "database other of db1",
        "database shop of db2",
    ]


def test_clock_jumped_back() -> None:
    assert doomed_days(plan(stored(-1, FULL), *DAILY)) == []


def test_clocks_of_hosts_may_differ_by_a_little() -> None:
    assert doomed_days(plan(stored(-0.001, FULL), *DAILY)) == list(range(31, 60))


def test_clock_jumped_forward() -> None:
    assert plan_retention(catalog(*DAILY), SETTINGS, NOW + timedelta(days=31)).doomed == ()
    assert plan_retention(catalog(*DAILY), SETTINGS, NOW + timedelta(days=3650)).doomed == ()


@pytest.mark.parametrize("direction", [1, -1], ids=["ahead", "behind"])
def test_the_stores_clock_is_another(direction: int) -> None:
    """The newest backup has the wrong time too: it was made after the jump."""
    found = plan_retention(catalog(*DAILY), SETTINGS, NOW, skew=direction * timedelta(days=20))
    assert found.doomed == ()
    assert "the store's clock and ours differ by" in found.doubts[0][1]
    assert doomed_days(plan_retention(catalog(*DAILY), SETTINGS, NOW, skew=direction * CLOCK_TOLERANCE))


def test_a_database_that_left_the_settings_is_named_and_only_then_forgotten() -> None:
    found = catalog(
        *DAILY,
        stored(90, FULL, name="old"),
        stored(80, RESTORED, name="old", is_held=True),
        stored(9, host="db2", name="x"),
    )
    (left,) = find_left(found, ("shop", "ops"), "db1")
    assert (left.name, left.backups, left.stored_bytes) == ("old", 2, 200)
    assert left.newest_at == NOW - timedelta(days=80)
    # Retention has its doubts, and they never end.
    assert [group.name for group, _ in plan_retention(found, SETTINGS, NOW).doubts] == ["old"]

    decisions = plan_forgetting(found, "old", ("shop", "ops"), "db1")
    assert [(each.keep, each.reason) for each in decisions] == [
        (False, "old left the settings"),
        (True, "held"),
    ]
    with pytest.raises(GuardRefusal, match="shop is in the settings"):
        plan_forgetting(found, "shop", ("shop", "ops"), "db1")
    with pytest.raises(UsageError, match=r"'x' \(known: old\)"):
        plan_forgetting(found, "x", ("shop", "ops"), "db1")


def test_what_nobody_can_read_stops_its_group_alone() -> None:
    forged = Problem(
        "v1/herald/db1/database/shop/shop-20261124T003005Z-a1b2c3/manifest.json", "is not signed"
    )
    found = plan_retention(
        replace(catalog(*DAILY, *(stored(day, FULL, name="b") for day in range(40))), problems=(forged,)),
        SETTINGS,
        NOW,
    )
    assert {each.backup.manifest.name for each in found.doomed} == {"b"}
    assert [group for group, _ in found.doubts] == [SHOP]


def test_an_empty_listing_is_a_doubt_where_backups_are_known() -> None:
    found = plan_retention(Catalog((), (), ()), SETTINGS, NOW, known=[SHOP])
    assert found.decisions == ()
    assert found.doubts == ((SHOP, "the store lists none of the backups that were made"),)


SCOPES = st.lists(st.sampled_from([STORED, FULL, RESTORED]), max_size=2).map(tuple)
BACKUPS = st.lists(
    st.builds(
        lambda days, scopes, failed, held, broken, name, number: stored(
            days,
            *scopes,
            failed=failed,
            is_held=held,
            missing=("dump",) if broken else (),
            name=name,
            number=number,
        ),
        st.floats(-2, 120),
        SCOPES,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["a", "b"]),
        st.integers(0, 0xFFFFFF),
    ),
    max_size=25,
)


@given(
    backups=BACKUPS,
    keep_days=st.integers(1, 60),
    keep_count=st.integers(1, 5),
    jump=st.floats(-100, 400),
)
def test_the_newest_proven_one_always_survives(
    backups: list[Backup], keep_days: int, keep_count: int, jump: float
) -> None:
    settings = RetentionSettings(keep_days=keep_days, keep_count=keep_count)
    now = NOW + timedelta(days=jump)
    found = plan_retention(catalog(*backups), settings, now)
    gone = {id(each.backup) for each in found.doomed}
    assert len(found.decisions) == len(backups)
    for name in ("a", "b"):
        own = sorted(
            (each for each in backups if each.manifest.name == name), key=lambda b: b.manifest.started_at
        )
        for scope in (RESTORED, FULL):
            proven = [each for each in own if is_proven(each, scope)]
            if proven:
                assert any(
                    id(each) not in gone
                    for each in proven
                    if each.manifest.started_at == proven[-1].manifest.started_at
                )
                break
        lost = [each for each in own if id(each) in gone]
        for each in lost:
            assert not each.is_held
            assert now - each.manifest.started_at > timedelta(days=keep_days)
        if lost:
            left = [each for each in own if id(each) not in gone and is_proven(each, FULL)]
            assert len(left) >= keep_count
            # Applied again, nothing more goes: what is kept does not depend on what was deleted.
            again = plan_retention(
                catalog(*(each for each in backups if id(each) not in gone)), settings, now
            )
            assert again.doomed == ()
