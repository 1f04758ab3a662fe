"""Accepted risks: until when, where, and what is refused; and what the checks make of it."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from sound import APP, BOOTSTRAP, NOW, SERVER, found

from herald_pipelines.database.security.acceptance import Weighed, check_accepted, unused, weigh
from herald_pipelines.database.security.checks import (
    check_acceptances,
    check_new,
    check_open,
    check_overdue,
)
from herald_pipelines.database.security.findings import Finding, Judgement, Severity
from herald_pipelines.database.security.history import History, Remembered
from herald_pipelines.database.security.report import describe, finding_table
from herald_pipelines.database.security.scan import Past, Scan
from herald_pipelines.errors import UsageError
from herald_pipelines.settings import AcceptedRisk, Settings

TODAY = NOW.date()
DEPLOY = replace(APP, name="deploy", is_superuser=True)
WEAK = tuple(found(replace(SERVER, roles=(BOOTSTRAP, DEPLOY, replace(APP, never_expires=True)))).values())
SUPERUSER, ENDLESS = "superuser_role:deploy", "role_without_expiry:app"


def risk(finding: str, until: date = TODAY, *databases: str) -> AcceptedRisk:
    return AcceptedRisk(finding=finding, reason="the vendor", until=until, databases=databases)


def accepted(*risks: AcceptedRisk, database: str = "shop", today: date = TODAY) -> set[str]:
    return {each.finding.id for each in weigh(WEAK, risks, database, today) if each.is_accepted}


def scan_of(
    weighed: tuple[Weighed, ...], *, hidden: tuple[str, ...] = (), gone: tuple[AcceptedRisk, ...] = ()
) -> Scan:
    return Scan(Judgement((), tuple(each.finding for each in weighed), ()), weighed, gone, NOW)


def past_of(findings: tuple[Finding, ...], *, days: float = 0, new: bool = False) -> Past:
    opened = {each.id: Remembered(each, NOW - timedelta(days=days), None) for each in findings}
    return Past(History(opened, (), None), frozenset(opened) if new else frozenset(), ())


def test_a_finding_or_all_of_a_rule() -> None:
    assert accepted(risk(SUPERUSER)) == {SUPERUSER}
    assert accepted(risk("superuser_role")) == {SUPERUSER}
    assert accepted(risk("superuser_role:other"), risk("superuser")) == set()


def test_where() -> None:
    assert accepted(risk(SUPERUSER, TODAY, "shop", "bank")) == {SUPERUSER}
    assert accepted(risk(SUPERUSER, TODAY, "bank")) == set()


def test_the_last_day_is_one_and_the_next_counts_again_and_says_so() -> None:
    assert accepted(risk(SUPERUSER)) == {SUPERUSER}
    (weighed, _) = weigh(WEAK, [risk(SUPERUSER)], "shop", TODAY + timedelta(days=1))
    assert (weighed.is_accepted, weighed.expired_on) == (False, TODAY)
    row = describe(scan_of((weighed,)), None)["findings"][0]
    assert row["acceptance"] == f"was accepted until {TODAY}, which is over: the vendor"
    verdict = check_open(scan_of((weighed,)), past_of(()))
    assert not verdict.passed
    assert f"accepted until lately: {SUPERUSER}" in verdict.summary


def test_one_that_stands_comes_before_one_that_is_over() -> None:
    before = risk(SUPERUSER, TODAY - timedelta(days=9))
    (weighed, _) = weigh(WEAK, [before, risk("superuser_role")], "shop", TODAY)
    assert weighed.is_accepted
    assert weighed.expired_on is None


def test_what_is_accepted_and_gone_can_go_from_the_settings() -> None:
    gone = risk("superuser_role:gone", TODAY, "shop")
    anywhere = risk("superuser_role:gone")
    weighed = weigh(WEAK, [gone, anywhere], "shop", TODAY)
    assert unused(weighed, [gone, anywhere, risk(SUPERUSER, TODAY, "shop")], "shop", frozenset()) == (gone,)
    assert unused(weighed, [gone], "shop", frozenset({"superuser_role"})) == ()
    assert not check_acceptances(scan_of(weighed, gone=(gone,)), NOW).passed
    host = risk("secret_file_mode:/gone")
    assert unused(weighed, [host, anywhere], "ops", frozenset()) == (host,)
    assert unused(weighed, [host], "shop", frozenset()) == ()


@pytest.mark.parametrize(
    ("risks", "text"),
    [
        ([risk("superuser:bob")], r"unknown rule in security.accepted 'superuser' \(known: bypassrls_role, "),
        (
            [risk(SUPERUSER, TODAY, "bank")],
            r"unknown database 'bank' \(known: shop, ops\)|unknown database 'bank'",
        ),
        ([risk(SUPERUSER), risk(SUPERUSER)], "security.accepted has 'superuser_role:deploy' twice"),
    ],
)
def test_what_accepts_nothing_is_refused(risks: list[AcceptedRisk], text: str) -> None:
    url = "postgresql://role@db/shop"
    settings = Settings.model_validate({"databases": {"shop": {"url": url}}, "security": {"accepted": risks}})
    with pytest.raises(UsageError, match=text):
        check_accepted(settings)


def test_new_findings_are_an_error_where_one_is_serious() -> None:
    both = scan_of(weigh(WEAK, [], "shop", TODAY))
    verdict = check_new(both, past_of(WEAK, new=True))
    assert (verdict.passed, verdict.is_error) == (False, True)
    assert verdict.summary == f"1 high, 1 low ({SUPERUSER}, {ENDLESS}) new"
    low = check_new(both, past_of(tuple(each for each in WEAK if each.id == ENDLESS), new=True))
    assert (low.passed, low.is_error) == (False, False)
    assert check_new(both, past_of(WEAK)).passed
    assert check_new(
        scan_of(weigh(WEAK, [risk(each.id) for each in WEAK], "shop", TODAY)), past_of(WEAK, new=True)
    ).passed


def test_open_findings_warn_for_as_long_as_they_are_there() -> None:
    verdict = check_open(scan_of(weigh(WEAK, [], "shop", TODAY)), past_of(()))
    assert (verdict.passed, verdict.is_error) == (False, False)
    assert check_open(
        scan_of(weigh(WEAK, [risk(each.id) for each in WEAK], "shop", TODAY)), past_of(())
    ).passed


def test_overdue_is_what_nobody_dealt_with_for_a_month() -> None:
    scan = scan_of(weigh(WEAK, [risk(ENDLESS)], "shop", TODAY))
    assert check_overdue(scan, past_of(WEAK, days=30), NOW).passed
    late = check_overdue(scan, past_of(WEAK, days=31), NOW)
    assert (late.passed, late.is_error, late.metadata["overdue"]) == (False, True, 1)


def test_an_acceptance_that_ends_before_the_next_audit_is_told() -> None:
    soon = check_acceptances(
        scan_of(weigh(WEAK, [risk(SUPERUSER, TODAY + timedelta(days=35))], "shop", TODAY)), NOW
    )
    assert not soon.passed
    assert check_acceptances(
        scan_of(weigh(WEAK, [risk(SUPERUSER, TODAY + timedelta(days=36))], "shop", TODAY)), NOW
    ).passed


def test_names_cannot_end_a_cell_of_the_table_or_be_markup() -> None:
    odd = replace(APP, name='"a|b`\n[x](y)<i>"', is_superuser=True)
    weighed = weigh(tuple(found(replace(SERVER, roles=(odd,))).values()), [], "shop", TODAY)
    _, _, row = finding_table(scan_of(weighed), None).text.splitlines()
    assert row.count("|") - row.count(r"\|") == 7
    assert r"a\|b\` \[x\](y)\<i\>" in row
    assert [each.finding.found.severity for each in weighed] == [Severity.HIGH]
