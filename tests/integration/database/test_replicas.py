"""Real standbys: their use of an index counts, what they do not tell is not guessed, and their lag is waited for."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from sqlalchemy import make_url
from standbys import fetch, own_server, standby_of, wait_for_replay

from herald_pipelines.database.guards import wait_until_quiet
from herald_pipelines.database.indexes.analysis import analyze_indexes
from herald_pipelines.database.indexes.history import record_snapshot
from herald_pipelines.errors import DatabaseUnavailable, GuardRefusal, UsageError
from herald_pipelines.ledger import Ledger
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.settings import IndexSettings
from herald_pipelines.settings.models import Guards
from servers import TestServer

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
READ_TABLE = "select count(*) from t where id + v < 0"


@dataclass(frozen=True)
class Pair:
    primary: TestServer
    standby: TestServer


@pytest.fixture(scope="module", params=["pg18", "pg15"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Give a server with a standby."""
    with (
        own_server(request.getfixturevalue(request.param)) as primary,
        standby_of(primary) as standby,
    ):
        fetch(primary.url("postgres"), "create role watcher login password 'x' in role pg_monitor")
        yield Pair(primary, standby)


class Watched:
    """A database on both, its days of analysis, and what they concluded; the role has pg_monitor alone."""

    def __init__(self, pair: Pair, ops: Postgres) -> None:
        self.primary, self.standby, self.ops = pair.primary, pair.standby, ops
        self.url = pair.primary.create_database()
        self.name = self.url.rpartition("/")[2]
        for statement in (
            "create table t (id int, v int) with (autovacuum_enabled = off)",
            "insert into t select g, g from generate_series(1, 1000) g",
            "create index used on t (id)",
            "create index idle on t (v)",
        ):
            fetch(self.url, statement)
        self.catch_up()

    @property
    def standby_url(self) -> str:
        return self.standby.url(self.name)

    def catch_up(self) -> None:
        wait_for_replay(self.primary, self.standby)

    def pause_replay(self) -> None:
        fetch(self.standby_url, "select pg_wal_replay_pause()")
        while fetch(self.standby_url, "select pg_get_wal_replay_pause_state()") != [("paused",)]:
            time.sleep(0.02)

    def use(self, url: str) -> None:
        fetch(url, "set enable_seqscan = off; select * from t where id = 5")

    def look(
        self, day: int, *, replicas: Sequence[TestServer] | None = None, at: TestServer | None = None
    ) -> dict[str, list[str]]:
        """Analyse as the task does on a day, keep what it keeps, and return the verdicts of each index."""
        primary, standbys = at or self.primary, [self.standby] if replicas is None else replicas
        for server in (primary, *standbys):
            self._wait_for_counters(server)
        now = NOW + timedelta(days=day)
        target = self.watch(primary, "platform")
        identity = target.identity()
        analysis = analyze_indexes(
            target,
            {
                f"east{number}": self.watch(each, f"platform/east{number}")
                for number, each in enumerate(standbys)
            },
            self.ops,
            identity,
            IndexSettings(),
            budget_seconds=60,
            now=now,
            say=[].append,
        )
        with self.ops.writable().session() as session:
            record_snapshot(session, identity, f"{now:%Y-%m-%d}", analysis.facts, now, analysis.servers)
        names = {index.oid: index.name for index in analysis.facts}
        return {names[each.oid]: [str(found.kind) for found in each.verdicts] for each in analysis.judged}

    def _wait_for_counters(self, server: TestServer) -> None:
        """Return when the sessions before have ended, for then they have told what they did."""
        others = (
            "select count(*) from pg_stat_activity where backend_type = 'client backend'"
            f" and datname = '{self.name}'"
        )
        while server.embedded.status().running and fetch(server.url("postgres"), others) != [(0,)]:
            time.sleep(0.02)

    def watch(self, server: TestServer, name: str) -> Postgres:
        url = make_url(server.url(self.name)).set(username="watcher", password="x")
        return Postgres(url.render_as_string(hide_password=False), name)


@pytest.fixture
def watched(pair: Pair, pg18: TestServer) -> Watched:
    ops = Postgres(pg18.create_database(), "ops")
    migrate(ops)
    return Watched(pair, ops)


def test_an_index_that_only_a_replica_uses_is_used(watched: Watched):
    watched.look(0)
    watched.use(watched.standby_url)
    fetch(watched.standby_url, READ_TABLE)
    assert watched.look(40) == {"used": [], "idle": ["unused"]}
    # Without it, what is known begins afresh, and then nobody knows better.
    fetch(watched.url, READ_TABLE)
    assert watched.look(80, replicas=()) == {"used": [], "idle": []}
    fetch(watched.url, READ_TABLE)
    assert watched.look(120, replicas=()) == {"used": ["unused"], "idle": ["unused"]}


def test_a_replica_that_cannot_be_asked_fails_the_analysis(watched: Watched):
    watched.look(0)
    watched.standby.embedded.stop()
    try:
        with pytest.raises(DatabaseUnavailable, match="platform/east0"):
            watched.look(40)
    finally:
        watched.standby.embedded.ensure_started()
    fetch(watched.standby_url, READ_TABLE)
    assert watched.look(41) == {"used": ["unused"], "idle": ["unused"]}


def test_a_crash_of_the_replica_begins_afresh(watched: Watched):
    watched.use(watched.standby_url)
    watched.look(0)
    os.kill(watched.standby.embedded.status().pid, signal.SIGKILL)
    watched.standby.embedded.ensure_started()
    watched.use(watched.standby_url)
    fetch(watched.url, READ_TABLE)
    assert watched.look(40) == {"used": [], "idle": []}


def test_a_rebuild_begins_afresh_for_its_index_where_there_is_a_replica(watched: Watched):
    """The replica counts the scans of the new oid from zero: two before the rebuild, and two after it."""
    for _ in range(2):
        watched.use(watched.standby_url)
    watched.look(0)
    ((old,),) = fetch(watched.url, "select 'used'::regclass::oid::bigint")
    fetch(watched.url, "reindex index concurrently used")
    ((new,),) = fetch(watched.url, "select 'used'::regclass::oid::bigint")
    identity = Postgres(watched.url, "platform").identity()
    with Ledger(watched.ops).action(
        identity, "index_rebuild", "2026-11-24", object_name="public.used", object_oid=old
    ) as action:
        action.result["index_oid"] = new
    watched.catch_up()
    for _ in range(2):
        watched.use(watched.standby_url)
    fetch(watched.url, READ_TABLE)
    assert watched.look(40) == {"used": [], "idle": ["unused"]}


def test_a_lock_that_the_replica_alone_still_holds_hides_no_use(watched: Watched):
    """Its primary has given the lock back, and the replica has not replayed that."""
    watched.look(0)
    watched.use(watched.standby_url)
    fetch(watched.url, READ_TABLE)
    with psycopg2.connect(watched.url) as holder, holder.cursor() as cursor:
        cursor.execute("lock table t in access exclusive mode")
        fetch(watched.url, "create table flushes_what_the_holder_logged ()")
        locked = (
            "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation = 't'::regclass"
        )
        while fetch(watched.standby_url, locked) == [(0,)]:
            time.sleep(0.02)
        watched.pause_replay()
    holder.close()
    try:
        assert fetch(watched.standby_url, locked) == [(1,)]
        assert watched.look(40) == {"used": [], "idle": ["unused"]}
    finally:
        fetch(watched.standby_url, "select pg_wal_replay_resume()")


def test_a_promoted_standby_begins_afresh_and_is_no_replica(watched: Watched):
    with standby_of(watched.primary) as heir:
        fetch(watched.url, READ_TABLE)
        watched.use(watched.url)
        watched.look(0, replicas=())
        wait_for_replay(watched.primary, heir)
        fetch(heir.url(watched.name), "select pg_promote()")
        for _ in range(50):
            fetch(heir.url(watched.name), READ_TABLE)
        watched.use(heir.url(watched.name))
        assert watched.look(40, replicas=(), at=heir) == {"used": [], "idle": []}
        with pytest.raises(UsageError, match="is no standby"):
            watched.look(41, replicas=[heir])


def test_replay_lag_is_waited_for_and_gone_when_the_standby_has_caught_up(watched: Watched):
    target = watched.watch(watched.primary, "platform")
    guards = Guards(max_replication_lag_seconds=1.0, wait_seconds=0.0)
    wait_until_quiet(target, guards, say=[].append)
    watched.pause_replay()
    fetch(watched.url, "insert into t select g, g from generate_series(1, 1000) g")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            wait_until_quiet(target, guards, say=[].append)
        except GuardRefusal as refusal:
            text = str(refusal)
            break
        time.sleep(0.1)
    assert "a standby lags by" in text
    said: list[str] = []
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        fetch(watched.standby_url, "select pg_wal_replay_resume()")
        watched.catch_up()
        time.sleep(0.2)

    patient = guards.model_copy(update={"wait_seconds": 60.0})
    wait_until_quiet(target, patient, say=said.append, sleep=sleep)
    assert len(naps) == 1
    assert "a standby lags by" in said[0]
