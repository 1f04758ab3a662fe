"""Scans over time: what is new and resolved, what is accepted and until when, what a scan that could not see leaves."""

from datetime import timedelta

import pytest
from scanning import NOW, execute, hba_lines, one_server
from shop import AUDIT, ROLE, Shop, of_ours

from herald_pipelines.errors import UsageError
from herald_pipelines.tasks import CheckVerdict, TaskResult

SUPERUSER, MD5, GRANT = f"superuser_role:{ROLE}", f"md5_password:{ROLE}", "public_table_write:shop.orders"
WEAKEN = f"alter role {ROLE} superuser login"
MEND = f"alter role {ROLE} nosuperuser nologin"
OPEN_TABLE = (
    "create schema shop; grant usage on schema shop to public;"
    "create table shop.orders (id int); grant insert on shop.orders to public"
)
NEXT, LATER = "2026-08-14", "2026-08-15"


def check_of(result: TaskResult, name: str) -> CheckVerdict:
    (check,) = [each for each in result.checks if each.check == name]
    return check


def new(document: dict) -> set[str]:
    return of_ours([row for row in document["findings"] if row["new"]])


def test_what_is_new_what_stays_and_what_is_resolved(shop: Shop) -> None:
    shop.observe()
    execute(shop.url, OPEN_TABLE, WEAKEN)
    first = shop.run()
    assert new(first.document) == {SUPERUSER, GRANT}
    check = next(each for each in first.checks if each.check == "no_new_findings")
    assert (check.passed, check.is_error) == (False, True)

    execute(shop.url, MEND)
    second = shop.run(window=NEXT)
    assert new(second.document) == set()
    assert of_ours(second.document["findings"]) == {GRANT}
    assert of_ours(second.document["resolved"]) == {SUPERUSER}
    assert SUPERUSER not in shop.open()
    assert GRANT in shop.open()

    # One that comes back is new, and has a life of its own.
    execute(shop.url, WEAKEN)
    assert new(shop.run(window=LATER).document) == {SUPERUSER}
    assert shop.ops(
        "select first_window_key, last_window_key, resolved_window_key from herald.security_finding"
        f" where finding = '{SUPERUSER}' order by id"
    ) == [("2026-08-13", "2026-08-13", NEXT), (LATER, LATER, None)]
    severities = shop.ops(
        "select severity, passed from herald.check_result where check_name = 'no_new_findings' order by id"
    )
    assert severities == [("ERROR", False), ("WARN", True), ("ERROR", False)]


@one_server
def test_a_window_that_is_run_again_says_the_same(shop: Shop) -> None:
    execute(shop.url, OPEN_TABLE, WEAKEN)
    shop.run()
    execute(shop.url, MEND)
    for _ in range(2):
        again = shop.run(window="2026-08-13")
        assert new(again.document) >= {GRANT}
        assert of_ours(again.document["resolved"]) == {SUPERUSER}
    assert [window for (window,) in shop.ops("select window_key from herald.security_scan")] == [
        "2026-08-13"
    ] * 3


@one_server
def test_what_cannot_be_seen_is_neither_well_nor_resolved(shop: Shop) -> None:
    execute(shop.url, f"set password_encryption = 'md5'; alter role {ROLE} password 'a'")
    with hba_lines(shop.server, "local all all trust"):
        seen = shop.run()
    assert {MD5, "hba_trust:local all all trust"} <= of_ours(seen.document["findings"])
    shop.observe()
    blind = shop.run(window=NEXT)
    # They are there still, as far as anybody knows.
    unseen = {row["id"]: row for row in blind.document["findings"] if not row["visible"]}
    assert unseen.keys() == {MD5, "hba_trust:local all all trust"}
    assert "`local all all trust`, lets every user" in unseen["hba_trust:local all all trust"]["evidence"]
    assert of_ours(blind.document["findings"]) == unseen.keys()
    assert new(blind.document) == set()
    assert blind.summary["high"] >= 2
    assert shop.ops("select open_high >= 2 from herald.security_posture") == [(True,)]
    assert {row["rule"] for row in blind.document["not_visible"]} >= {"md5_password", "hba_trust"}
    assert MD5 not in of_ours(blind.document["resolved"])
    assert {MD5, "hba_trust:local all all trust"} <= shop.open()
    check = check_of(blind, "no_open_findings")
    assert not check.passed
    assert f"hba_trust:local all all trust, {MD5}" in check.summary
    assert "not visible: md5_password, hba_trust" in check.summary
    ((later,),) = shop.ops("select now() + interval '31 days'")
    overdue = check_of(shop.run(AUDIT, "2026-09-06", now=later), "no_overdue_findings")
    assert (overdue.passed, overdue.is_error) == (False, True)
    assert MD5 in overdue.summary
    shop.accept(MD5, NOW.date(), "shop")
    assert MD5 not in check_of(shop.run(window=NEXT), "no_open_findings").summary
    ((hidden,),) = shop.ops(
        "select not_visible from herald.security_scan where window_key = '2026-08-14' limit 1"
    )
    assert {row["rule"] for row in hidden} >= {"md5_password", "hba_trust"}
    # Who sees again resolves.
    shop.environ["SHOP_URL"] = shop.url
    sight = shop.run(window=LATER)
    assert "hba_trust:local all all trust" in of_ours(sight.document["resolved"])
    assert MD5 in shop.open()


@one_server
def test_an_accepted_risk_counts_again_when_its_day_is_over(shop: Shop) -> None:
    execute(shop.url, WEAKEN)
    shop.accept(SUPERUSER, NOW.date(), "shop")
    accepted = shop.run()
    (row,) = [each for each in accepted.document["findings"] if each["id"] == SUPERUSER]
    assert (row["accepted"], row["accepted_reason"], row["accepted_until"]) == (
        True,
        "the vendor's",
        f"{NOW:%Y-%m-%d}",
    )
    assert accepted.summary["accepted"] == 1
    assert shop.ops(f"select accepted_reason from herald.open_findings where finding = '{SUPERUSER}'") == [
        ("the vendor's",)
    ]

    over = shop.run(window=NEXT, now=NOW + timedelta(days=1))
    (row,) = [each for each in over.document["findings"] if each["id"] == SUPERUSER]
    assert not row["accepted"]
    assert row["acceptance"] == f"was accepted until {NOW:%Y-%m-%d}, which is over: the vendor's"
    (check,) = [each for each in over.checks if each.check == "no_open_findings"]
    assert f"accepted until lately: {SUPERUSER}" in check.summary
    assert over.summary["high"] == accepted.summary["high"] + 1


@one_server
def test_an_acceptance_of_what_does_not_exist_is_refused_and_nothing_is_written(shop: Shop) -> None:
    shop.accept("superuser:bob", NOW.date())
    with pytest.raises(
        UsageError, match=r"unknown rule in security\.accepted 'superuser' \(known: bypassrls_role"
    ):
        shop.run()
    assert shop.ops("select count(*) from herald.security_scan") == [(0,)]


@one_server
def test_a_dry_run_tells_the_same_and_leaves_nothing(shop: Shop) -> None:
    execute(shop.url, OPEN_TABLE, WEAKEN)
    dry = shop.run(dry_run=True)
    assert shop.ops("select count(*) from herald.security_finding") == [(0,)]
    done = shop.run()
    unseen = {"first_seen_at": None}
    assert [row | unseen for row in dry.document["findings"]] == [
        row | unseen for row in done.document["findings"]
    ]
    execute(shop.url, MEND)
    assert of_ours(shop.run(dry_run=True).document["resolved"]) == {SUPERUSER}
    assert SUPERUSER in shop.open()
    shop.environ["OPS_URL"] = "postgresql://nobody@127.0.0.1:1/gone"
    assert of_ours(shop.run(dry_run=True).document["findings"]) >= {GRANT}


@one_server
def test_another_database_under_the_same_name_is_another(shop: Shop) -> None:
    execute(shop.url, OPEN_TABLE)
    shop.run()
    first, shop.environ["SHOP_URL"] = shop.url, shop.server.create_database()
    second = shop.run(window=NEXT)
    assert GRANT not in {row["id"] for row in [*second.document["findings"], *second.document["resolved"]]}
    assert GRANT not in shop.open()
    shop.environ["SHOP_URL"] = first
    assert GRANT not in new(shop.run(window=LATER).document)
    assert GRANT in shop.open()


@one_server
def test_an_audit_tells_what_became_of_findings_since_the_last(shop: Shop) -> None:
    execute(shop.url, OPEN_TABLE, WEAKEN)
    first = shop.run(AUDIT, "2026-08-02")
    assert first.document["last_audit_at"] is None
    rules = first.metadata["security_audit"]["rules_judged"]
    assert "superuser\\_role | 1 found" in rules.text
    assert "bypassrls\\_role | holds" in rules.text
    execute(shop.url, MEND)
    shop.run()
    second = shop.run(AUDIT, "2026-09-06")
    assert second.document["last_audit_at"] is not None
    assert (second.summary["opened_since_last_audit"], second.summary["resolved_since_last_audit"]) == (0, 1)
    (overdue,) = [each for each in second.checks if each.check == "no_overdue_findings"]
    ((now,),) = shop.ops("select now()")
    assert overdue.passed
    late = shop.run(AUDIT, "2026-10-04", now=now + timedelta(days=31))
    (overdue,) = [each for each in late.checks if each.check == "no_overdue_findings"]
    assert (overdue.passed, overdue.is_error) == (False, True)
    assert GRANT in overdue.summary


@one_server
def test_what_an_audit_saw_first_is_new_to_the_next_scan(shop: Shop) -> None:
    shop.run()
    execute(shop.url, OPEN_TABLE, WEAKEN)
    assert new(shop.run(AUDIT, "2026-08-02").document) >= {GRANT, SUPERUSER}
    execute(shop.url, MEND)
    shop.run(AUDIT, "2026-09-06")
    for dry_run in (True, False, False):
        found = shop.run(window=NEXT, dry_run=dry_run)
        assert new(found.document) == {GRANT}
        assert of_ours(found.document["resolved"]) == {SUPERUSER}
    assert (check_of(found, "no_new_findings").passed, check_of(found, "no_new_findings").is_error) == (
        False,
        True,
    )
    assert new(shop.run(window=LATER).document) == set()


@one_server
def test_an_audit_that_is_run_again_tells_of_the_one_before_and_of_whatever_time_passed(shop: Shop) -> None:
    execute(shop.url, OPEN_TABLE, WEAKEN)
    shop.run(AUDIT, "2026-06-07")
    execute(shop.url, MEND)
    shop.run()
    # Two audits were missed since.
    shop.ops("update herald.security_finding set first_seen_at = now() - interval '90 days',"
             " resolved_at = resolved_at - interval '80 days' returning id")  # fmt: skip
    shop.ops(
        "update herald.security_scan set at = now() - interval '85 days' where task like '%audit' returning at"
    )
    said = [shop.run(AUDIT, "2026-09-06") for _ in range(2)]
    assert said[0].document["last_audit_at"] == said[1].document["last_audit_at"]
    for audit in said:
        assert of_ours(audit.document["resolved"]) == {SUPERUSER}
        assert audit.summary["resolved_since_last_audit"] == len(audit.document["resolved"])


@one_server
def test_a_finding_of_a_rule_that_is_not_asked_is_left_as_it_is(shop: Shop) -> None:
    shop.run()
    shop.ops("insert into herald.security_finding (database, system_identifier, database_oid, finding, rule, object_name,"
             " severity, evidence, fix, first_window_key, last_window_key) select database, system_identifier,"
             " database_oid, 'rule_of_later:x', 'rule_of_later', 'x', 'low', 'x', 'x', 'w', 'w' from herald.security_scan"
             " returning id")  # fmt: skip
    assert "rule_of_later:x" not in {row["id"] for row in shop.run(window=NEXT).document["resolved"]}
    assert "rule_of_later:x" in shop.open()
