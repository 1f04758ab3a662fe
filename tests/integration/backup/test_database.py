"""Databases backed up for real: what is visible is whole, and a failure leaves nothing."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from making import PASSPHRASE, make_backup

from herald_pipelines.backup.catalog import read_catalog
from herald_pipelines.backup.facts import Kind, Manifest, Scope
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.unsealing import unseal
from herald_pipelines.backup.verify import verify_backup
from herald_pipelines.errors import HeraldError, PermanentFailure, UsageError
from herald_pipelines.resources.clients import find_clients
from herald_pipelines.resources.commands import CommandFailed
from herald_pipelines.resources.pipes import piping
from herald_pipelines.values import utc_now
from servers import TestServer

MAKER = Path(__file__).with_name("making.py")
Backer = Callable[[str], Manifest]


def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


def listing(repo: Repository, manifest: Manifest) -> str:
    """Return what pg_restore lists of a backup's dump."""
    part = manifest.part("dump")
    key = repo.ring.find(manifest.encryption.key)
    assert manifest.database is not None
    clients = find_clients(manifest.database.server_version // 10000, {})
    with (
        repo.store.read(manifest.prefix + part.object) as stored,
        unseal(stored, key.secret, repo.gpg(key.secret), part, "the dump") as chunks,
        piping([clients.pg_restore, "--list"], stall_seconds=30, takes_input=True) as program,
    ):
        for chunk in chunks:
            program.write(chunk)
        program.close_input()
        text = b"".join(program.chunks()).decode()
        program.finish(timeout_seconds=30)
    return text


def assert_nothing_is_left(repo: Repository) -> None:
    """Assert that a failed backup left neither something visible nor anything else."""
    catalog = read_catalog(repo)
    assert (catalog.backups, catalog.unfinished, catalog.problems) == ((), (), ())


def test_a_backup_is_whole_and_says_what_it_is_of(
    repo: Repository, back_up: Backer, database_url: str
) -> None:
    execute(
        database_url,
        "create table matches (id int primary key, played_at timestamptz)",
        "insert into matches select n, now() from generate_series(1, 1000) n",
        "create unlogged table cache (id int)",
        "insert into cache values (7)",
        """create table "Mixed ""quoted"" Ünïcode" (id int)""",
        "create sequence tickets start 42",
        "select lo_from_bytea(4711, 'a large object')",
        "alter database " + database_url.rpartition("/")[2] + " set work_mem = '7MB'",
    )

    manifest = back_up(database_url)

    (backup,) = read_catalog(repo).backups
    assert backup.manifest == manifest
    assert backup.missing == ()
    facts = manifest.database
    assert facts is not None
    assert {each.name for each in facts.tables} == {"matches", "cache", 'Mixed "quoted" Ünïcode'}
    assert [each.name for each in facts.tables if each.is_unlogged] == ["cache"]
    assert (None, "work_mem=7MB") in facts.settings
    assert facts.wal_position
    text = listing(repo, manifest)
    for entry in (
        "TABLE DATA public matches",
        "TABLE DATA public cache",
        "SEQUENCE SET public tickets",
        "BLOB",
    ):
        assert entry in text


def test_an_empty_database_has_a_backup_too(repo: Repository, back_up: Backer, database_url: str) -> None:
    assert "TOC Entries" in listing(repo, back_up(database_url))


def test_two_backups_at_once_are_two_backups(repo: Repository, database_url: str) -> None:
    threads = [threading.Thread(target=make_backup, args=(repo, database_url)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(read_catalog(repo).of(Kind.DATABASE, "shop")) == 2


def test_a_dump_that_fails_late_leaves_nothing(repo: Repository, server: TestServer) -> None:
    """pg_dump has written most of its output when it ends with an error; gpg calls what it got a success."""
    url = server.create_database()
    execute(
        url,
        "create table a_good (t text)",
        "insert into a_good select repeat(md5(n::text), 30) from generate_series(1, 20000) n",
        "create table z_bad (t text)",
        "insert into z_bad select repeat(md5(n::text), 30) from generate_series(1, 20000) n",
        "checkpoint",
    )
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("select pg_relation_filepath('z_bad'), current_setting('data_directory')")
        path, data = cursor.fetchone() or ("", "")
    connection.close()
    server.embedded.stop()
    with (Path(data) / path).open("r+b") as file:
        file.seek(300 * 8192)
        file.write(b"\xff" * 8192)
    server.embedded.ensure_started()

    with pytest.raises(CommandFailed, match=r"pg_dump ended with exit code 1.*(invalid page|z_bad)"):
        make_backup(repo, url)

    assert_nothing_is_left(repo)


def test_a_connection_that_is_lost_leaves_nothing(repo: Repository, database_url: str) -> None:
    execute(
        database_url,
        "create table big (t text)",
        "insert into big select repeat(md5(n::text), 30) from generate_series(1, 100000) n",
    )
    ended = threading.Event()

    def terminate() -> None:
        while not ended.is_set():
            execute(
                database_url,
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'herald:%'"
                " and datname = current_database() and query like 'COPY%'",
            )

    thread = threading.Thread(target=terminate)
    thread.start()
    try:
        with pytest.raises(HeraldError, match=r"pg_dump|terminat"):
            make_backup(repo, database_url)
    finally:
        ended.set()
        thread.join()

    assert_nothing_is_left(repo)


def test_a_table_dropped_while_it_is_dumped_fails_or_is_there(repo: Repository, database_url: str) -> None:
    """Its drop waits for the dump's lock, or comes before it: never a backup that silently lacks it."""
    execute(database_url, *(f"create table t{number} as select 1 as x" for number in range(200)))
    dropper = threading.Thread(
        target=lambda: execute(database_url, *(f"drop table t{n}" for n in range(199, -1, -1)))
    )
    dropper.start()
    try:
        manifest = make_backup(repo, database_url)
    except CommandFailed as error:
        found = any(text in error.message for text in ("does not exist", "cache lookup failed"))
        assert found, error.message  # noqa: PT017 - either way is right
        assert_nothing_is_left(repo)
    else:
        assert manifest.database is not None
        assert listing(repo, manifest).count("TABLE DATA") == len(manifest.database.tables)
    finally:
        dropper.join()


def test_a_role_that_does_not_see_all_is_refused(
    repo: Repository, server: TestServer, database_url: str
) -> None:
    execute(database_url, "create table secret (id int)")
    name = "blind_" + database_url.rpartition("_")[2]
    execute(database_url, f"create role {name} login password 'x'")
    url = database_url.replace(database_url[len("postgresql://") : database_url.index("@")], f"{name}:x")
    try:
        with pytest.raises(PermanentFailure, match="may not read all tables") as caught:
            make_backup(repo, url)
    finally:
        execute(database_url, f"drop role {name}")

    assert f'grant pg_read_all_data to "{name}"' in str(caught.value)
    assert_nothing_is_left(repo)


def test_rows_that_a_policy_hides_fail_the_backup(repo: Repository, database_url: str) -> None:
    name = "reader_" + database_url.rpartition("_")[2]
    execute(
        database_url,
        "create table private (id int)",
        "alter table private enable row level security",
        f"create role {name} login password 'x'",
        f"grant pg_read_all_data to {name}",
    )
    url = database_url.replace(database_url[len("postgresql://") : database_url.index("@")], f"{name}:x")
    try:
        with pytest.raises(CommandFailed, match="row-level security"):
            make_backup(repo, url)
    finally:
        execute(database_url, f"drop role {name}")

    assert_nothing_is_left(repo)


def test_another_major_needs_its_own_programs() -> None:
    with pytest.raises(UsageError, match="no pg_dump and pg_restore of PostgreSQL 16") as caught:
        find_clients(16, {16: Path("/nonexistent")})

    assert "backup.programs.16" in str(caught.value)


def test_a_full_disk_leaves_nothing(back_up: Backer, repo: Repository, database_url: str) -> None:
    """No file may grow any more, which stops the store in the middle of the dump."""
    execute(
        database_url,
        "create table noise (t text)",
        "insert into noise select md5(random()::text) || md5(random()::text) from generate_series(1, 60000)",
    )

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(HeraldError, match=r"(?i)too large|no room|space"):
            back_up(database_url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    assert_nothing_is_left(repo)


def test_killed_at_any_moment_nothing_broken_is_visible(
    repo: Repository, database_url: str, tmp_path: Path
) -> None:
    execute(
        database_url,
        "create table big (t text)",
        "insert into big select repeat(md5(n::text), 10) from generate_series(1, 30000) n",
        "create table bigger as select * from big",
    )
    whole = make_backup(repo, database_url)
    chance = random.Random(4)
    visible = 0
    for number in range(12):
        maker = subprocess.Popen(
            [sys.executable, str(MAKER), str(tmp_path), database_url, str(1 + number % 2)], env=_environ()
        )
        time.sleep(chance.uniform(0.4, 2.2))
        maker.send_signal(signal.SIGKILL)
        maker.wait()
        catalog = read_catalog(repo)
        assert catalog.problems == ()
        for backup in catalog.backups:
            assert backup.missing == ()
        visible = len(catalog.backups)
        _assert_no_dump_is_left(database_url)
    for backup in read_catalog(repo).backups:
        assert "TABLE public big" in listing(repo, backup.manifest)
        assert verify_backup(repo, backup, Scope.FULL, {}, now=utc_now(), say=lambda _text: None).passed
    assert visible >= 1
    assert whole.id in {each.manifest.id for each in read_catalog(repo).backups}


def test_no_secret_is_in_any_argv(repo: Repository, database_url: str, tmp_path: Path) -> None:
    """While a backup runs, /proc shows every program's arguments to everybody on the machine."""
    execute(
        database_url,
        "create table big (t text)",
        "insert into big select repeat(md5(n::text), 30) from generate_series(1, 50000) n",
    )
    password = database_url.rpartition("@")[0].rpartition(":")[2]
    seen: set[str] = set()
    worker = threading.Thread(target=make_backup, args=(repo, database_url))
    worker.start()
    while worker.is_alive():
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            seen |= {name for name in ("pg_dump", "gpg") if name in words.split(" ")[0]}
            assert PASSPHRASE not in words
            if "making.py" not in words and "pytest" not in words:
                assert password not in words
    worker.join()

    assert seen == {"pg_dump", "gpg"}


def test_the_lease_goes_when_the_backup_is_there(
    repo: Repository, back_up: Backer, database_url: str
) -> None:
    manifest = back_up(database_url)

    names = [each.key.removeprefix(manifest.prefix) for each in repo.store.list(manifest.prefix)]
    assert sorted(names) == ["dump.pgdump.zst.gpg", "globals.json.zst.gpg", "manifest.json"]


def test_a_backup_whose_lease_was_revoked_is_not_made_visible(repo: Repository, database_url: str) -> None:
    """Somebody took it for dead and swept it, while it was only slow."""

    class Sweeper:
        """Removes the lease as soon as the dump is being uploaded."""

        def __getattr__(self, name: str) -> object:
            return getattr(repo.store, name)

        def upload(self, key: str) -> object:
            if "dump" in key:
                repo.store.delete(key.rpartition("/")[0] + "/lease.json")
            return repo.store.upload(key)

    with pytest.raises(PermanentFailure, match=r"lease of .* was revoked"):
        make_backup(replace(repo, store=Sweeper()), database_url)  # pyright: ignore[reportArgumentType]

    assert read_catalog(repo).backups == ()


def _environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _assert_no_dump_is_left(url: str) -> None:
    deadline = time.monotonic() + 15
    connection = psycopg2.connect(url)
    try:
        while time.monotonic() < deadline:
            with connection.cursor() as cursor:
                cursor.execute(
                    "select count(*) from pg_stat_activity where application_name like 'herald:%'"
                    " and datname = current_database()"
                )
                if cursor.fetchone() == (0,):
                    return
            connection.rollback()
            time.sleep(0.1)
    finally:
        connection.close()
    pytest.fail("a server process of a killed backup is still at work")
