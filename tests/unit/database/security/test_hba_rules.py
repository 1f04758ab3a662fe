"""Rules on pg_hba.conf: what a line lets in, and lines that never hold."""

from dataclasses import replace

import pytest
from sound import SERVER, found, hba, hidden

from herald_pipelines.database.security.findings import Severity, Unreadable

HOST32, HOST128 = "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"


def rules_on(*texts: str) -> dict[str, Severity]:
    lines = tuple(hba(text, number) for number, text in enumerate(texts, start=1))
    return {
        each.rule: each.found.severity
        for each in found(replace(SERVER, hba=lines)).values()
        if each.rule.startswith("hba_")
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("local all all trust", {"hba_trust": Severity.HIGH}),
        (f"host all all 127.0.0.1/{HOST32} trust", {"hba_trust": Severity.HIGH}),
        (f"host all all ::1/{HOST128} trust", {"hba_trust": Severity.HIGH}),
        ("host all all 127.0.0.0/255.0.0.0 scram-sha-256", {}),
        ("host all all 10.0.0.0/255.0.0.0 trust", {"hba_trust": Severity.CRITICAL, "hba_unencrypted": Severity.MEDIUM}),
        ("hostssl all all all trust", {"hba_trust": Severity.CRITICAL}),
        ("hostssl all all 10.0.0.0/255.0.0.0 ident", {"hba_trust": Severity.HIGH}),
        ("hostssl all all db.example password", {"hba_password": Severity.MEDIUM}),
        ("host all all db.example password", {"hba_password": Severity.HIGH, "hba_unencrypted": Severity.MEDIUM}),
        ("local all all password", {"hba_password": Severity.MEDIUM}),
        ("local all all md5", {"hba_md5": Severity.LOW}),
        ("hostssl all all 0.0.0.0/0.0.0.0 scram-sha-256", {"hba_everywhere": Severity.MEDIUM}),
        ("hostssl all all ::/:: scram-sha-256", {"hba_everywhere": Severity.MEDIUM}),
        ("host all all all reject", {}),
        ("hostssl all all 10.0.0.0/255.0.0.0 scram-sha-256", {}),
        ("hostnogssenc all all 10.0.0.0/255.0.0.0 scram-sha-256", {"hba_unencrypted": Severity.MEDIUM}),
        ("hostgssenc all all 10.0.0.0/255.0.0.0 gss", {}),
        ("host all all samehost scram-sha-256", {}),
        ("host all all samenet scram-sha-256", {"hba_unencrypted": Severity.MEDIUM}),
        ("local all all peer", {}),
    ],
)  # fmt: skip
def test_lines(line: str, expected: dict[str, Severity]) -> None:
    assert rules_on(line) == expected


@pytest.mark.parametrize(
    ("first", "later", "holds"),
    [
        ("host all all all reject", "host all all 10.0.0.0/255.0.0.0 trust", False),
        ("host all all 0.0.0.0/0.0.0.0 reject", f"hostssl all bob 10.0.0.1/{HOST32} trust", False),
        ("host all all 10.0.0.0/255.0.0.0 reject", f"host all all 10.0.0.1/{HOST32} trust", False),
        (f"host all all 10.0.0.1/{HOST32} reject", "host all all 10.0.0.0/255.0.0.0 trust", True),
        ("host all all 0.0.0.0/0.0.0.0 reject", f"host all all ::1/{HOST128} trust", True),
        ("hostssl all all all reject", "host all all all trust", True),
        ("host shop all all reject", "host all all all trust", True),
        ("host all bob all reject", "host all all all trust", True),
        ("host all all all reject", "host replication all all trust", True),
        ("host all all all reject", "local all all trust", True),
    ],
)
def test_a_line_that_an_earlier_one_covers_never_holds(first: str, later: str, holds: bool) -> None:  # noqa: FBT001
    assert ("hba_trust" in rules_on(first, later)) == holds


def test_a_line_keeps_its_id_where_others_are_put_before_it() -> None:
    line = hba("hostssl all all all trust", 7)
    (alone,) = [key for key in found(replace(SERVER, hba=(line,))) if key.startswith("hba_trust")]
    assert alone == "hba_trust:hostssl all all all trust"
    given = found(replace(SERVER, hba=(hba("local all all peer", 1), replace(line, line=8))))
    assert "line 8 of pg_hba.conf" in given[alone].found.evidence


def test_a_broken_line_is_told_by_its_place_alone() -> None:
    line = replace(hba("local all all trust", 3), is_broken=True, file="/etc/pg_hba.conf")
    assert list(found(replace(SERVER, hba=(line,)))) == ["hba_broken_line:line 3 of /etc/pg_hba.conf"]


def test_an_unread_file_hides_every_rule_on_it() -> None:
    assert set(hidden(replace(SERVER, hba=Unreadable("no right")))) == {
        "hba_trust", "hba_password", "hba_md5", "hba_everywhere", "hba_unencrypted", "hba_broken_line",
    }  # fmt: skip
