"""What a value becomes in a row of the ops database."""

import doctest
import json
from datetime import UTC, datetime

import pytest

from herald_pipelines import records
from herald_pipelines.errors import PermanentFailure
from herald_pipelines.records import clean, describe_error, to_json


def test_the_examples_hold() -> None:
    assert doctest.testmod(records).failed == 0


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://herald:hunter2@db:5432/shop",
        "postgresql://:hunter2@db/shop",
        "invalid dsn: host=db password=hunter2 user=a",
        "PASSWORD = 'hunter2'",
        "create user mapping options (user 'a', password 'hunter2')",
        "PGPASSWORD=hunter2 psql",
        "passphrase: hunter2",
    ],
)
def test_no_secret_stays_in_a_text(text: str) -> None:
    assert "hunter2" not in clean(text)
    assert "hunter2" not in describe_error(PermanentFailure(text))


@pytest.mark.parametrize(
    "text",
    [
        "password authentication failed for user herald",
        "at 2026-11-24T02:30 on db:5432",
        "reads a@b.c at http://x/y",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert clean(text) == text


def test_statements_in_evidence_stay_exact() -> None:
    ddl = "CREATE INDEX i ON t (a) WHERE (password = 'x'::text)"
    assert json.loads(to_json({"ddl": ddl}))["ddl"] == ddl


def test_times_keep_their_zone() -> None:
    assert to_json([datetime(2026, 11, 24, 2, tzinfo=UTC)]) == '["2026-11-24T02:00:00+00:00"]'


def test_what_has_no_place_in_json_is_refused() -> None:
    with pytest.raises(TypeError):
        to_json({"what": object()})
