from datetime import timedelta

from stored import NOW, stored

from herald_pipelines.backup.checks import check_age, check_proof, check_size, check_store
from herald_pipelines.backup.facts import Scope
from herald_pipelines.backup.inventory import Problem
from herald_pipelines.settings.backup import BackupLimits

FULL, RESTORED, STORED = Scope.FULL, Scope.RESTORED, Scope.STORED
LIMITS = BackupLimits(max_age_hours=26, max_proof_age_days=35, max_size_change=0.5)


def test_age() -> None:
    assert check_age([stored(3), stored(1)], LIMITS, NOW).passed
    old = check_age([stored(3), stored(1.1)], LIMITS, NOW)
    assert (old.passed, old.is_error, old.metadata["age_hours"]) == (False, True, 26.4)
    assert "26.4 h old (26 at most)" in old.summary
    assert check_age([], LIMITS, NOW).summary == "there is no backup"


def test_a_backup_from_the_future_is_no_recent_one() -> None:
    """It would hide for years that no other one is made."""
    found = check_age([stored(3), stored(-400)], LIMITS, NOW)
    assert (found.passed, found.is_error) == (False, True)
    assert "after now: a clock is wrong" in found.summary
    assert check_age([stored(-0.001)], LIMITS, NOW).passed


def test_a_broken_backup_is_no_recent_one() -> None:
    assert not check_age([stored(3), stored(0, missing=("dump",))], LIMITS, NOW).passed


def test_proof() -> None:
    assert check_proof([stored(34, RESTORED), stored(0, FULL)], LIMITS, NOW).passed
    late = check_proof([stored(36, RESTORED), stored(0, FULL)], LIMITS, NOW)
    assert (late.passed, late.summary) == (False, "a backup was last restored 36.0 days ago (35 at most)")
    assert check_proof([stored(36, RESTORED), stored(0, FULL)], LIMITS, NOW, scope=FULL).passed
    none = check_proof([stored(3, RESTORED, failed=True), stored(1, FULL)], LIMITS, NOW)
    assert (none.passed, none.summary) == (False, "no backup was restored and is still good")


def test_a_proof_of_a_backup_that_lost_a_part_is_none() -> None:
    assert not check_proof([stored(1, RESTORED, missing=("dump",))], LIMITS, NOW).passed


def test_with_public_keys_an_overdue_proof_names_the_host() -> None:
    owed = [stored(1, STORED, recipients=("A" * 40,))]
    found = check_proof(owed, LIMITS, NOW, scope=FULL, full_verification_host="vault")
    assert (found.check, found.passed) == ("backup_is_verified", False)
    assert found.summary == "no backup was verified in full and is still good; vault does that"
    assert "backup.full_verification_host" in check_proof(owed, LIMITS, NOW, scope=FULL).summary


def test_size() -> None:
    week = [stored(day, stored_bytes=100 + day) for day in range(8, 1, -1)]
    assert check_size([*week, stored(1, stored_bytes=150)], LIMITS).passed
    grown = check_size([*week, stored(1, stored_bytes=158)], LIMITS)
    assert (grown.passed, grown.is_error) == (False, False)
    assert grown.metadata["usual_bytes"] == 1050
    small = check_size([*week, stored(1, stored_bytes=52)], LIMITS)
    assert (small.passed, small.metadata["change"]) == (False, -0.5048)
    assert "-50% against the usual" in small.summary


def test_size_is_compared_with_the_last_week_alone() -> None:
    before = [stored(day, stored_bytes=10**6) for day in range(30, 8, -1)]
    week = [stored(day) for day in range(8, 1, -1)]
    assert check_size([*before, *week, stored(1)], LIMITS).passed


def test_size_without_enough_to_compare_with() -> None:
    assert check_size([], LIMITS).passed
    assert check_size([stored(3), stored(2), stored(1, stored_bytes=10**6)], LIMITS).passed
    assert check_size(
        [stored(4, stored_bytes=0), *(stored(day, stored_bytes=0) for day in (3, 2, 1))], LIMITS
    ).passed


def test_store() -> None:
    assert check_store([stored(1, FULL)], [], []).passed
    found = check_store(
        [stored(2, missing=("dump", "globals")), stored(1, FULL, failed=True)],
        [Problem("v1/x", "is not signed")],
        ["shop-x"],
    )
    assert (found.passed, found.is_error) == (False, True)
    assert found.metadata == {"broken": 1, "failed": 1, "lost": 1, "problems": 1}
    for text in (
        "lacks dump, globals",
        "failed: it is damaged",
        "shop-x is not in the store",
        "v1/x is not signed",
    ):
        assert text in found.summary


def test_store_names_a_few() -> None:
    found = check_store([], [Problem(f"v1/{number}", "is strange") for number in range(30)], [])
    assert found.summary.endswith(" and 20 more")


def test_age_is_by_the_beginning() -> None:
    assert check_age([stored(0)], LIMITS, NOW + timedelta(hours=26)).passed
    assert not check_age([stored(0)], LIMITS, NOW + timedelta(hours=26.01)).passed
