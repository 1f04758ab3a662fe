"""The sample platform: what it advertises is really there, on a real server."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from herald_pipelines.errors import GuardRefusal, UsageError
from herald_pipelines.resources.postgres import Postgres, Session
from herald_pipelines.sample.platform import TABLES, SampleReport, create_sample
from herald_pipelines.sample.shape import SEED
from herald_pipelines.sample.workload import LARGEST_SHARE, run_workload
from servers import TestServer

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
SMALL = 0.05
MIB = 1024 * 1024

MAKE = """
import sys
from datetime import datetime
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.sample.platform import create_sample
url, now = sys.stdin.read().split()
say = lambda sentence: print(sentence, flush=True)
create_sample(Postgres(url, "platform"), scale=0.05, now=datetime.fromisoformat(now), say=say)
"""


def quiet(sentence: str) -> None:
    assert sentence


def make(url: str, *, scale: float = SMALL, seed: int = SEED, now: datetime = NOW) -> SampleReport:
    return create_sample(Postgres(url, "platform"), scale=scale, seed=seed, now=now, say=quiet)


@contextmanager
def cursor_of(url: str) -> Iterator[Any]:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("set timezone = 'UTC'")
            yield cursor


def rows(url: str, statement: str, parameters: Any = None) -> list[Any]:
    with cursor_of(url) as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def digest(url: str) -> dict[str, str]:
    """Return a hash of all rows of each table, whatever their order, with the partition each is in."""
    return {
        table: rows(
            url,
            f"select md5(string_agg(line, '' order by line)) from "
            f"(select (tableoid::regclass, t.*)::text as line from public.{table} as t) as lines",
        )[0][0]
        for table in TABLES
    }


def index_sizes(url: str) -> dict[str, int]:
    return dict(
        rows(url, "select indexrelname, pg_relation_size(indexrelid) from pg_stat_user_indexes order by 1")
    )


def test_same_seed_and_day_make_the_same_rows_on_every_server_and_another_seed_others(
    pg18: TestServer, pg15: TestServer
) -> None:
    first, again, old, other = (
        pg18.create_database(),
        pg18.create_database(),
        pg15.create_database(),
        pg18.create_database(),
    )
    one, two = make(first), make(again, now=NOW.replace(hour=23))
    make(old)
    make(other, seed=7)
    assert digest(first) == digest(again) == digest(old)
    assert one.rows == two.rows == dict(rows_per_table(first))
    assert index_sizes(first) == index_sizes(again)
    differing = {table for table in TABLES if digest(first)[table] != digest(other)[table]}
    assert differing == set(TABLES) - {"seasons"}


def rows_per_table(url: str) -> Iterator[tuple[str, int]]:
    for table in TABLES:
        yield table, rows(url, f"select count(*) from public.{table}")[0][0]


@pytest.mark.parametrize("now", [datetime(2026, 3, 1, tzinfo=UTC), datetime(2027, 1, 31, 23, tzinfo=UTC)])
def test_is_whole_on_any_day_and_nothing_in_it_is_later(pg18: TestServer, now: datetime) -> None:
    url = pg18.create_database()
    report = make(url, now=now)
    assert all(report.rows[table] for table in TABLES)
    midnight = now.replace(hour=0)
    latest = "select greatest((select max(played_at) from matches), (select max(last_seen_at) from users))"
    assert rows(url, latest)[0][0] <= midnight


def test_complete_sample_is_left_alone(database_url: str) -> None:
    made = make(database_url)
    before = digest(database_url), index_sizes(database_url)
    said: list[str] = []
    again = create_sample(
        Postgres(database_url, "platform"), scale=3.0, seed=1, now=NOW + timedelta(days=40), say=said.append
    )
    assert (made.created, again.created) == (True, False)
    assert again.rows == made.rows
    assert again.size_bytes == made.size_bytes > 5 * MIB
    assert said == [
        "sample of scale 0.05, seed 20260101, made for 2026-11-24, is there; scale 3 and seed 1 were not used"
    ]
    assert (digest(database_url), index_sizes(database_url)) == before


@pytest.mark.parametrize("moment", ["users:", "churn: ended", "vacuum: users", "workload:"])
def test_sample_whose_maker_was_killed_is_made_anew(pg18: TestServer, moment: str) -> None:
    whole, url = pg18.create_database(), pg18.create_database()
    make(whole)
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with maker:
        assert maker.stdin is not None
        assert maker.stdout is not None
        maker.stdin.write(f"{url} {NOW.isoformat()}")
        maker.stdin.close()
        for line in maker.stdout:
            if line.startswith(moment):
                maker.kill()
                break
    assert maker.returncode == -9
    assert rows(url, "select obj_description('public.users'::regclass)") == [("herald sample: building",)]
    assert make(url).created
    assert digest(url) == digest(whole)


def test_refuses_a_database_with_other_tables_and_leaves_it_as_it_was(database_url: str) -> None:
    with cursor_of(database_url) as cursor:
        cursor.execute("create schema shop; create table shop.users (id int); create table matches (id int)")
    with pytest.raises(GuardRefusal, match=r"not empty: it holds public\.matches, shop\.users"):
        make(database_url)
    tables = "select relname from pg_class where relkind = 'r' and oid >= 16384 order by 1"
    assert rows(database_url, tables) == [("matches",), ("users",)]
    assert rows(database_url, "select extname from pg_extension where extname like 'pg%'") == []


def test_refuses_to_redo_an_interrupted_sample_beside_other_tables(database_url: str) -> None:
    with cursor_of(database_url) as cursor:
        cursor.execute("create table users (id int); create table mine (id int)")
        cursor.execute("comment on table users is 'herald sample: building'")
    with pytest.raises(GuardRefusal, match=r"it holds public\.mine\n"):
        make(database_url)
    assert rows(database_url, "select to_regclass('public.users')::text") == [("users",)]


def test_refuses_while_another_process_makes_it(pg18: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herald_pipelines.sample.platform.MAKER_SECONDS", 0.5)
    url = pg18.create_database()
    with Postgres(url, "platform").session() as session:
        assert session.try_lock("sample")
        with pytest.raises(GuardRefusal, match="another process"):
            make(url)


def test_refuses_a_scale_too_small(pg18: TestServer) -> None:
    with pytest.raises(UsageError, match="scale 0 is too small"):
        make(pg18.create_database(), scale=0)


def test_partitions_are_there_expired_current_coming_and_default(database_url: str) -> None:
    make(database_url)
    names = [
        name
        for (name,) in rows(database_url, "select relid::text from pg_partition_tree('matches') where isleaf")
    ]
    assert {"matches_2025_08", "matches_2026_11", "matches_2026_12"} <= set(names)
    assert len(names) == 17
    kept_since = NOW - timedelta(days=365)
    expired = [name for name in names if name < f"matches_{kept_since:%Y_%m}"]
    assert expired == ["matches_2025_08", "matches_2025_09", "matches_2025_10"]
    for name in expired:
        assert rows(database_url, f"select count(*) from {name}")[0][0] > 100
    assert rows(database_url, "select count(*) from matches_2026_12") == [(0,)]
    assert rows(database_url, "select count(*) > 0 from match_events_default") == [(True,)]
    assert rows(database_url, "select count(*) > 0 from match_events_2025_09") == [(True,)]
    with cursor_of(database_url) as cursor:  # an expired month can be taken out, its players being gone
        cursor.execute("alter table matches detach partition matches_2025_08 concurrently")


def test_indexes_are_what_they_are_said_to_be(database_url: str) -> None:
    make(database_url)
    facts = {
        row[0]: row
        for row in rows(
            database_url,
            """
            select i.indexrelid::regclass::text, i.indisvalid, i.indisunique, i.indisexclusion,
                i.indkey::text,
                (select conname from pg_constraint where conindid = i.indexrelid and contype in ('u', 'x'))
            from pg_index i join pg_class c on c.oid = i.indexrelid
            where c.relnamespace = 'public'::regnamespace
            """,
        )
    }
    assert [name for name, row in facts.items() if not row[1]] == ["users_riot_id_idx"]
    assert [name for name, row in facts.items() if row[3]] == ["seasons_span_excl"]
    assert facts["users_puuid_key"][5] == "users_puuid_key"
    duplicate, original = facts["match_participants_player_idx"], facts["match_participants_user_id_idx"]
    assert duplicate[4] == original[4]
    longer = facts["match_participants_champion_position_idx"][4]
    assert longer.startswith(facts["match_participants_champion_id_idx"][4] + " ")
    low = "select n_distinct from pg_stats where tablename = 'match_participants' and attname = 'win'"
    assert rows(database_url, low) == [(2,)]
    supported = "select conkey from pg_constraint where conname = 'user_sessions_user_id_fkey'"
    assert str(rows(database_url, supported)[0][0][0]) == facts["user_sessions_user_id_idx"][4]


def test_workload_scans_the_useful_indexes_and_is_in_pg_stat_statements(database_url: str) -> None:
    make(database_url)
    before = scans(database_url)
    report = run_workload(Postgres(database_url, "platform"), rounds=range(3))
    after = scans(database_url)
    grown = {name for name in after if after[name] > before[name]}
    assert report.queries > 30
    assert {"users_pkey", "users_puuid_key", "users_email_idx", "player_ratings_leaderboard_idx"} <= grown
    assert {"user_sessions_token_idx", "user_sessions_started_at_idx", "match_participants_pkey"} <= grown
    never = {"match_participants_damage_dealt_idx", "user_sessions_user_id_idx"}
    assert {name: after[name] for name in never} == dict.fromkeys(never, 0)
    statements = rows(
        database_url,
        "select s.query from pg_stat_statements s join pg_database d on d.oid = s.dbid "
        "where d.datname = current_database()",
    )
    assert any("game_name ilike" in query for (query,) in statements)
    with cursor_of(database_url) as cursor:
        cursor.execute("select extname from pg_extension")
        assert {"pg_stat_statements", "pgstattuple"} <= {name for (name,) in cursor.fetchall()}


def test_a_paced_workload_takes_its_share_of_the_time_and_no_more(database_url: str) -> None:
    make(database_url)
    report = run_workload(Postgres(database_url, "platform"), rounds=range(1), pause_seconds=0.001)
    fast = run_workload(Postgres(database_url, "platform"), rounds=range(1))
    assert report.queries == fast.queries
    assert report.busy_seconds <= LARGEST_SHARE * report.seconds


def test_seed_decides_whom_the_workload_plays(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make(database_url)
    asked: list[tuple[str, str]] = []
    fetch = Session.fetch

    def listen(session: Session, query: str, /, **parameters: object) -> Any:
        asked.append((query, repr(parameters)))
        return fetch(session, query, **parameters)

    monkeypatch.setattr(Session, "fetch", listen)
    runs: list[list[tuple[str, str]]] = []
    for seed in (SEED, SEED, SEED + 1):
        run_workload(Postgres(database_url, "platform"), rounds=range(6), seed=seed)
        runs.append(asked[:])
        asked.clear()
    assert runs[0] == runs[1] != runs[2]


def scans(url: str) -> dict[str, int]:
    return dict(rows(url, "select indexrelname, idx_scan from pg_stat_user_indexes"))


def test_new_rows_get_new_ids_and_autovacuum_is_back(database_url: str) -> None:
    make(database_url)
    with cursor_of(database_url) as cursor:
        cursor.execute(
            "insert into users (puuid, game_name, tag_line, email, region, summoner_level, is_premium, "
            "created_at, last_seen_at) values (gen_random_uuid(), 'New', 'KR', 'a@b.example', 'kr', 1, "
            "false, now(), now()) returning id"
        )
        assert cursor.fetchone() == (2001,)
        cursor.execute("select relname from pg_class where reloptions::text like '%autovacuum%'")
        assert cursor.fetchall() == []


def test_bloat_at_scale_one_is_waste_that_a_rebuild_gives_back(database_url: str) -> None:
    report = make(database_url, scale=1.0)
    assert 60 * MIB < report.size_bytes < 140 * MIB
    before = index_sizes(database_url)
    with cursor_of(database_url) as cursor:
        cursor.execute("drop index users_riot_id_idx")
        for table in TABLES:
            cursor.execute(f"reindex table {table}")
    after = index_sizes(database_url)
    big = {name: size for name, size in before.items() if size >= MIB and name in after}
    bloat = {name: 1 - after[name] / size for name, size in big.items()}
    assert {name for name, share in bloat.items() if share > 0.2} == {
        "matches_2026_10_pkey",
        "matches_2026_10_region_played_at_idx",
        "matches_2026_10_riot_match_id_played_at_key",
        "player_ratings_leaderboard_idx",
        "player_ratings_pkey",
        "riot_sync_queue_pkey",
        "riot_sync_queue_ready_idx",
        "user_sessions_pkey",
        "user_sessions_started_at_idx",
        "user_sessions_token_idx",
        "user_sessions_user_id_idx",
    }
    assert bloat["riot_sync_queue_ready_idx"] > 0.95
    assert len([share for share in bloat.values() if share < 0.05]) >= 5
    assert sum(before.values()) - sum(after.values()) > 20 * MIB
