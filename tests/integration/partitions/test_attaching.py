"""What is brought back is attached briefly: nothing of it is read under the lock, and nothing of ours stays on it."""

import pytest
from yard import Gate, Yard, day, execute, kill_at

from herald_pipelines.ledger import Ledger
from herald_pipelines.partitions.analysis import analyze_partitions
from herald_pipelines.partitions.finding import find_detached
from herald_pipelines.partitions.returning import bring_back
from herald_pipelines.partitions.work import at_work
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.values import utc_now
from servers import TestServer

JANUARY = "public.matches_2024_01"
WITHOUT = {"public.matches": {"archive": False, "premake": 0}}
TABLE = """
create table public.users (id bigint primary key);
insert into public.users select generate_series(1, 9);
create table public.matches (
  id bigint references public.users, "played at" timestamptz not null, note text
) partition by range ("played at");
create table public.matches_2024_01 partition of public.matches for values from (minvalue) to ('2024-02-01Z');
create table public.matches_2026_11 partition of public.matches for values from ('2026-11-01Z') to ('2026-12-01Z');
create table public.matches_rest partition of public.matches default;
insert into public.matches select n, '2024-01-05Z', 'a' from generate_series(1, 9) n;
"""
OURS = (
    "select conname from pg_constraint where conrelid = 'public.matches_2024_01'::regclass and contype = 'c'"
)
KEYS = "select conname, convalidated from pg_constraint where conrelid = 'public.matches_2024_01'::regclass and contype = 'f'"


@pytest.fixture(params=["pg15", "pg18"])
def server(request: pytest.FixtureRequest) -> TestServer:
    """Give two servers, however many the others run on."""
    return request.getfixturevalue(request.param)


def test_nothing_of_the_table_is_read_while_others_wait(open_it):
    yard: Yard = open_it(TABLE, rules=WITHOUT)
    before = yard.rows()
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]
    ((left,),) = execute(
        yard.url, "select relname from pg_class where relname like 'matches_2024_01_detached_%'"
    )
    # As one from an archive, which holds no foreign keys.
    execute(yard.url, f"alter table public.{left} drop constraint matches_id_fkey")
    ((name,),) = execute(yard.url, "select current_database()")
    execute(yard.url, f'alter database "{name}" set client_min_messages = debug1')
    target, ops = Postgres(yard.url, "shop", "partition_restore"), Postgres(yard.ops_url, "ops")
    identity = target.identity()
    known = analyze_partitions(target, ops, identity, {}, at=day("2026-11-22")).known
    found = find_detached("matches_2024_01", known.lifecycles.values(), known.relations)
    assert found is not None
    (parent,) = known.inventory.parents
    with at_work(
        target.writable(),
        identity,
        Ledger(ops),
        task="partition_cleanup",
        window="2026-11-22",
        now=utc_now(),
        budget_seconds=600,
        say=yard.said.append,
    ) as work:
        bring_back(work, found, parent, None, {})
        said = work.session.take_notices()
    implied = 'partition constraint for table "matches_2024_01" is implied by existing constraints'
    at = next(place for place, text in enumerate(said) if text.endswith(implied))
    assert not [text for text in said[at:] if "verifying" in text and "matches_2024_01" in text]
    assert not [text for text in said[at:] if "validating foreign key" in text]
    assert yard.rows() == before
    assert execute(yard.url, OURS) == []
    assert execute(yard.url, KEYS) == [("matches_id_fkey", True)]


def test_killed_between_attaching_and_its_ledger_row_it_rests_too(open_it):
    yard: Yard = open_it(TABLE, rules=WITHOUT)
    before = yard.rows()
    assert yard.steps("partition_cleanup") == [(JANUARY, "detach", "done")]
    ddl = Gate(yard.url, of_ledger=False)
    kill_at(yard, ddl, "alter table%attach partition%", "partitions", "restore", "matches_2024_01", "--yes")
    assert len(yard.tables()) == 5
    kill_at(
        yard,
        Gate(yard.ops_url, of_ledger=True),
        "attach",
        "partitions",
        "restore",
        "matches_2024_01",
        "--yes",
    )
    assert yard.tables()["matches_2024_01"]
    assert (yard.rows(), execute(yard.url, OURS)) == (before, [])
    (found,) = yard.plan()["databases"]
    assert "brought back" in next(row["reason"] for row in found["partitions"] if row["partition"] == JANUARY)
    assert yard.steps("partition_cleanup") == []
