"""A partition from its expiry to its end and back, on real servers, through the tasks and the command."""

import pytest
from yard import LATER, Yard, execute

JANUARY, FEBRUARY = "public.matches_2024_01", "public.matches_2024_02"


# An archive takes the programs of the server's version.
@pytest.mark.parametrize("server", ["pg15", "pg18"], indirect=True)
def test_archived_detached_dropped_and_brought_back(yard: Yard):
    before = yard.rows()
    assert yard.steps("partition_cleanup") == []
    assert yard.steps("partition_archive") == [(JANUARY, "archive", "done"), (FEBRUARY, "archive", "done")]
    first, second = (each["partition"] for each in yard.archives())
    assert (first["attached_name"], first["rows"], second["rows"]) == ("matches_2024_01", 3000, 2000)
    # Nothing is archived twice.
    assert yard.steps("partition_archive") == []
    assert yard.rows() == before

    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done"), (FEBRUARY, "detach", "done")]
    assert yard.rows() == []
    left = yard.tables()
    january = next(name for name in left if name.startswith("matches_2024_01_detached_"))
    assert left[january] is False
    assert "matches_2024_01" not in left
    # Within its grace it stays.
    assert yard.steps("partition_cleanup") == []

    # One that is only detached is attached again.
    plan, code = yard.restore("matches_2024_02")
    assert (plan["from"], plan["refused"], plan["done"], code) == ("detached", [], False, 0)
    assert FEBRUARY.removeprefix("public.") not in yard.tables()
    done, code = yard.restore(FEBRUARY, yes=True)
    assert (done["done"], code) == (True, 0)
    assert yard.rows() == [row for row in before if row[1].month == 2]

    # What was brought back is left alone; what is detached long enough goes.
    assert yard.steps("partition_cleanup", LATER) == [(f"public.{january}", "drop", "done")]
    assert january not in yard.tables()

    plan, code = yard.restore("matches_2024_01")
    assert plan["from"] == yard.archives()[0]["id"]
    assert plan["rows"] == 3000
    done, code = yard.restore("matches_2024_01", yes=True)
    assert done["done"]
    assert yard.rows() == before
    assert {index for (index,) in execute(
        yard.url, "select indexrelid::regclass::text from pg_index where indrelid = 'public.matches_2024_01'::regclass"
    )} == {"matches_2024_01_pkey"}  # fmt: skip
    invalid = execute(yard.url, "select count(*) from pg_index where not indisvalid")
    assert invalid == [(0,)]
