"""The ops database's schema: from nothing, again, by several at once, from an older one, never backwards."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from herald_pipelines import migrations
from herald_pipelines.errors import PermanentFailure, UsageError
from herald_pipelines.ledger import Ledger
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.queries import sql_root
from herald_pipelines.values import Outcome
from server_programs import server_programs
from servers import TestServer, running_server

ALL = tuple(sorted(path.stem for path in (sql_root() / "migrations").glob("*.sql")))
NEWEST = ALL[-1][:4]

MIGRATE = """
import sys
from herald_pipelines.migrations import migrate
from herald_pipelines.resources.postgres import Postgres
ops = Postgres(sys.stdin.readline().strip(), "ops")
print("ready", flush=True)
sys.stdin.readline()
print(",".join(migrate(ops).applied))
"""


@pytest.fixture
def ops(database_url: str) -> Postgres:
    return Postgres(database_url, "ops")


@pytest.fixture(params=["pg18", "pg15"])
def bare_server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """Give a server that never heard of our roles."""
    request.getfixturevalue(request.param)  # so that a missing server is named there
    with running_server(server_programs(int(request.param.removeprefix("pg")))) as server:
        yield server


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a copy of the sql folder, in use, that a test may change."""
    folder = tmp_path / "sql"
    shutil.copytree(sql_root(), folder)
    monkeypatch.setattr(migrations, "sql_root", lambda: folder)
    return folder


def run(ops: Postgres, statement: str) -> list[tuple[object, ...]]:
    with ops.writable().session() as session:
        return [tuple(row.values()) for row in session.execute(statement)]


def as_role(url: str, role: str, password: str = "secret") -> Postgres:
    return Postgres(
        sa.make_url(url).set(username=role, password=password).render_as_string(hide_password=False), "ops"
    )


def migrate_in_processes(urls: list[str], **environment: Any) -> list[str]:
    """Migrate each url in a process of its own, all at the same moment; return what each applied."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **environment,
        )
        for _ in urls
    ]
    for process, url in zip(processes, urls, strict=True):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{url}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(urls)
    return outputs


def test_from_nothing_and_again(ops: Postgres) -> None:
    first = migrate(ops)
    assert (first.from_revision, first.to_revision, first.applied) == (None, NEWEST, ALL)
    second = migrate(ops)
    assert (second.from_revision, second.to_revision, second.applied) == (NEWEST, NEWEST, ())


def test_two_processes_at_once_apply_it_once(ops: Postgres) -> None:
    outputs = migrate_in_processes([ops.url, ops.url])
    assert sorted(outputs) == ["", ",".join(ALL)]
    assert migrate(ops).applied == ()


def test_two_databases_of_one_cluster_at_once_share_the_roles(bare_server: TestServer) -> None:
    urls = [bare_server.create_database() for _ in range(2)]
    assert migrate_in_processes(urls) == [",".join(ALL)] * 2


def test_an_installed_package_brings_its_migrations(pg18: TestServer, tmp_path: Path) -> None:
    # As a wheel lays it out: the SQL inside the package, and no checkout around it.
    package = tmp_path / "site" / "herald_pipelines"
    shutil.copytree(Path(migrations.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(sql_root(), package / "sql")
    (package / "sql" / "migrations" / f"{len(ALL) + 1:04d}_only_here.sql").write_text("select 1;")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    (applied,) = migrate_in_processes([pg18.create_database()], cwd=tmp_path, env=environment)
    assert applied == ",".join([*ALL, f"{len(ALL) + 1:04d}_only_here"])


def test_from_an_older_revision_keeps_the_rows(
    ops: Postgres, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tree / "migrations").glob("*.sql"):
        if path.stem != ALL[0]:
            path.unlink()
    for path in (tree / "views").glob("*.sql"):
        if path.stem not in ("last_action", "window_history"):
            path.unlink()
    assert migrate(ops).to_revision == "0001"
    run(ops, "insert into herald.target_database values ('shop', '7', 5, 'shop', 180000)")

    monkeypatch.undo()
    report = migrate(ops)
    assert (report.from_revision, report.to_revision, report.applied) == ("0001", NEWEST, ALL[1:])
    assert run(ops, "select database from herald.target_database") == [("shop",)]
    assert run(ops, "select count(*) from herald.index_health") == [(0,)]


def test_a_file_may_hold_colons_and_per_cent_signs(ops: Postgres, tree: Path) -> None:
    number = f"{len(ALL) + 1:04d}"
    (tree / "migrations" / f"{number}_odd.sql").write_text(
        "create table herald.odd as select ':name' as a, '100 %' as b, '%(x)s' as c, '5'::int % 3 as d;"
        "do $$ begin raise notice '% :b', 1; end $$;"
    )
    assert migrate(ops).to_revision == number
    assert run(ops, "select * from herald.odd") == [(":name", "100 %", "%(x)s", 2)]


def test_a_database_that_is_newer_than_the_code_is_refused(
    ops: Postgres, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = f"{len(ALL) + 1:04d}"
    (tree / "migrations" / f"{number}_later.sql").write_text("create table herald.later (id int);")
    migrate(ops)
    monkeypatch.undo()
    with pytest.raises(UsageError, match=rf"'ops' is at migration {number} \(known: 0001 to {NEWEST}\)"):
        migrate(ops)
    assert run(ops, "select * from herald.later") == []


def test_a_migration_that_fails_leaves_nothing_and_names_its_file(ops: Postgres, tree: Path) -> None:
    number = f"{len(ALL) + 1:04d}"
    (tree / "migrations" / f"{number}_broken.sql").write_text(
        "create table herald.half (id int); select 1/0;"
    )
    with pytest.raises(PermanentFailure, match=rf"migrations/{number}_broken.sql on ops: division by zero"):
        migrate(ops)
    assert run(ops, "select 1 from pg_namespace where nspname = 'herald'") == []


@pytest.mark.parametrize("name", ["0001_again.sql", "0099_gap.sql", "late.sql"])
def test_numbers_without_a_gap_are_required(pg18: TestServer, tree: Path, name: str) -> None:
    (tree / "migrations" / name).write_text("select 1;")
    with pytest.raises(PermanentFailure, match="was expected"):
        migrate(Postgres(pg18.create_database(), "ops"))


def test_a_view_is_replaced_when_its_text_changed_and_only_then(ops: Postgres, tree: Path) -> None:
    migrate(ops)
    # A view of an analyst's own hangs on it.
    run(ops, "create view public.mine as select database from herald.last_action")
    before = dict(run(ops, "select view_name, applied_at from herald.view_source"))

    path = tree / "views" / "last_action.sql"
    path.write_text(
        path.read_text().replace("       finished_at\n", "       finished_at,\n       id as entry_id\n")
    )
    assert migrate(ops).applied == ()
    after = dict(run(ops, "select view_name, applied_at from herald.view_source"))
    assert {name for name in after if after[name] != before[name]} == {"last_action"}
    assert run(ops, "select entry_id from herald.last_action") == []


def test_a_role_that_may_create_roles_is_enough(bare_server: TestServer) -> None:
    url = bare_server.create_database()
    name = sa.make_url(url).database
    run(Postgres(url, "ops"), "create role migrator login createrole password 'secret'")
    run(Postgres(url, "ops"), f"grant create on database {name} to migrator")
    migrator = as_role(url, "migrator")
    assert migrate(migrator).applied == ALL
    assert migrate(migrator).applied == ()
    owners = run(
        migrator,
        "select distinct pg_get_userbyid(relowner) from pg_class where relnamespace = 'herald'::regnamespace",
    )
    assert owners == [("herald_owner",)]
    ledger = Ledger(migrator)
    ledger.close(ledger.open(migrator.identity(), "index_rebuild", "2026-11-24"), Outcome.DONE)


def test_a_role_with_too_few_rights_is_told_what_to_do(bare_server: TestServer) -> None:
    url = bare_server.create_database()
    run(Postgres(url, "ops"), "create role weak login password 'secret'")
    weak = as_role(url, "weak")
    with pytest.raises(UsageError) as caught:
        migrate(weak)
    assert "role 'weak' may not set up the schema herald" in caught.value.message
    assert "grant herald_owner to weak" in (caught.value.hint or "")

    # What the hint says.
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute((sql_root() / "roles" / "ops.sql").read_text())
        cursor.execute("grant herald_owner to weak")
    connection.close()
    assert migrate(weak).applied == ALL


def test_everything_that_is_read_is_explained(ops: Postgres) -> None:
    migrate(ops)
    unexplained = """
        select c.relname || coalesce('.' || a.attname, '')
          from pg_class c
          left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where c.relnamespace = 'herald'::regnamespace
           and c.relkind in ('r', 'v')
           and (obj_description(c.oid, 'pg_class') is null or col_description(c.oid, a.attnum) is null)
    """
    assert run(ops, unexplained) == []
