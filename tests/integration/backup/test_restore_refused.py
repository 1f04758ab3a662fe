"""What stands against a restore is said before anything is touched, and a restore that fails leaves what was there."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from making import file_repository
from restoring import address, backup_of, cursor, databases, restore, rows

from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.repository import Repository
from herald_pipelines.backup.restore_database import list_before, plan_restore
from herald_pipelines.backup.restore_plan import RestorePlan
from herald_pipelines.errors import GuardRefusal, HeraldError
from herald_pipelines.resources.commands import CommandFailed
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.queries import sql_root
from herald_pipelines.settings.conninfo import with_database
from herald_pipelines.values import utc_now
from server_programs import server_programs
from servers import TestServer, temporary_home

Backer = Callable[..., Manifest]
NAME = "stand"
ROLES = ("stand_restorer", "stand_owner", "stand_reader", "stand_missing")
PASSWORD = "4f7Gq0w1"


@pytest.fixture
def stand(server: TestServer) -> Iterator[str]:
    """Give the url of a database that belongs to a role of its own."""
    clear(server)
    with cursor(server.url("postgres")) as opened:
        opened.execute("create role stand_owner; create role stand_reader login; create role stand_missing")
        opened.execute(f"create database {NAME} owner stand_owner")
    url = server.url(NAME)
    with cursor(url) as opened:
        opened.execute("create schema s authorization stand_owner; set role stand_owner")
        opened.execute(
            "create table s.t (id serial primary key, state text); insert into s.t (state) values ('good')"
        )
        opened.execute("grant select on s.t to stand_reader")
    yield url
    clear(server)


def clear(server: TestServer) -> None:
    """Drop what these tests make."""
    with cursor(server.url("postgres")) as opened:
        for name in databases(server.url("postgres")):
            if name.startswith(NAME):
                opened.execute(f'drop database "{name}" with (force)')
        for role in ROLES:
            opened.execute(f"select from pg_roles where rolname = '{role}'")
            if opened.rowcount:
                opened.execute(f"drop owned by {role}; drop role {role}")


@pytest.fixture
def restorer(server: TestServer, stand: str) -> str:
    """Give the url of a role with the least rights for restores."""
    with cursor(server.url("postgres")) as opened:
        opened.execute(
            (sql_root() / "roles" / "restore.sql").read_text().replace("herald_restore", "stand_restorer")
        )
        opened.execute(
            f"alter role stand_restorer password '{PASSWORD}'; grant stand_owner to stand_restorer"
        )
        opened.execute(f"alter role stand_reader password '{PASSWORD}'")
    return as_role(stand, "stand_restorer")


def as_role(url: str, role: str) -> str:
    """Return the url for another role."""
    return f"postgresql://{role}:{PASSWORD}@{url.rpartition('@')[2]}"


def plan(repo: Repository, manifest: Manifest, url: str, name: str = NAME) -> RestorePlan:
    """Plan a restore."""
    return plan_restore(repo, backup_of(repo, manifest), address(url), name=name, programs={}, now=utc_now())


def reasons(found: RestorePlan) -> str:
    """Return all that stands against it, with the hints."""
    return "; ".join(f"{each.reason} -> {each.hint}" for each in found.refusals)


def require_untouched(url: str) -> None:
    """Check that the live database is what it was, and nothing else is there."""
    assert [name for name in databases(url) if name.startswith(NAME)] == [NAME]
    assert databases(url)[NAME]
    assert rows(url, "select state from s.t") == [("good",)]


def test_a_role_with_the_least_rights_restores(
    stand: str, restorer: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(stand)
    rows(stand, "update s.t set state = 'bad'")
    assert reasons(plan(repo, manifest, restorer)) == ""

    report = restore(repo, manifest, restorer, NAME)

    assert rows(stand, "select state from s.t") == [("good",)]
    owners = "select relowner::regrole::text, (select datdba::regrole::text from pg_database where datname = 'stand')"
    assert rows(stand, f"{owners} from pg_class where relname = 't'") == [("stand_owner", "stand_owner")]
    assert rows(stand, "select has_table_privilege('stand_reader', 's.t', 'select')") == [(True,)]
    assert report.kept_as in databases(stand)


def test_what_the_role_may_not_do_is_named(
    server: TestServer, stand: str, restorer: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(stand)
    with cursor(stand) as opened:
        opened.execute("revoke stand_owner from stand_restorer; alter role stand_restorer nocreatedb")
        opened.execute("drop role stand_missing")

    said = reasons(plan(repo, manifest, restorer))

    assert 'may not create databases -> alter role "stand_restorer" createdb' in said
    assert "may not rename the database 'stand', which belongs to stand_owner -> grant" in said
    assert "may not act as stand_owner" in said
    assert "may not create the roles that are missing: stand_missing" in said
    with pytest.raises(GuardRefusal, match="cannot be restored"):
        restore(repo, manifest, restorer, NAME)
    require_untouched(stand)


def test_what_only_a_superuser_restores_is_named(
    stand: str, restorer: str, repo: Repository, back_up: Backer
) -> None:
    with cursor(stand) as opened:
        opened.execute("create function f() returns event_trigger language plpgsql as 'begin end'")
        opened.execute("create event trigger watch on ddl_command_end execute function f()")
    manifest = back_up(stand)

    with pytest.raises(GuardRefusal, match="only a superuser can restore event trigger - watch") as caught:
        restore(repo, manifest, restorer, NAME)

    assert "may not act as postgres" in caught.value.message
    require_untouched(stand)


def test_publications_of_what_only_a_superuser_may_publish_are_named(
    stand: str, restorer: str, repo: Repository, back_up: Backer
) -> None:
    with cursor(stand) as opened:
        opened.execute('create publication "all of it" for all tables; create publication one for table s.t')
    manifest = back_up(stand)

    with pytest.raises(GuardRefusal, match='only a superuser can restore publication "all of it"') as caught:
        restore(repo, manifest, restorer, NAME)

    assert "publication one" not in caught.value.message
    require_untouched(stand)


def test_sessions_are_ended_but_not_a_superusers(
    stand: str, restorer: str, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(stand)
    reader = psycopg2.connect(as_role(stand, "stand_reader"))
    reader.cursor().execute("select pg_catalog.pg_advisory_lock(1)")
    with psycopg2.connect(stand, application_name="night job") as boss:
        pid = boss.info.backend_pid
        said = reasons(plan(repo, manifest, restorer))
        assert f"may not end the sessions in 'stand': pid {pid} of postgres (night job), a superuser" in said
        with pytest.raises(GuardRefusal, match="may not end the sessions"):
            restore(repo, manifest, restorer, NAME)
        # Who may end it does so.
        assert f"2 sessions in '{NAME}' will be ended for the swap" in plan(repo, manifest, stand).notes
    boss.close()
    rows(stand, "update s.t set state = 'bad'")

    restore(repo, manifest, restorer, NAME)

    assert rows(stand, "select state from s.t") == [("good",)]
    with pytest.raises(psycopg2.OperationalError):
        reader.cursor().execute("select")
    reader.close()


def test_who_comes_in_while_it_is_restored_is_sent_away(
    stand: str, restorer: str, repo: Repository, back_up: Backer
) -> None:
    """A superuser's session that the plan could not see: found at the swap, and the old database is open as before."""
    manifest = back_up(stand)
    held: list[psycopg2.extensions.connection] = []

    def say(text: str) -> None:
        if text.startswith("restore:"):
            held.append(psycopg2.connect(stand))

    with pytest.raises(GuardRefusal, match="may not end the sessions"):
        restore(repo, manifest, restorer, NAME, say=say)

    held[0].close()
    require_untouched(stand)


def test_transactions_slots_and_subscriptions_are_named(
    server: TestServer, repo: Repository, back_up: Backer
) -> None:
    options = {"max_prepared_transactions": "5", "wal_level": "logical"}
    with temporary_home() as home:
        own = EmbeddedServer(home, binaries=server_programs(server.major), durable=False, options=options)
        own.ensure_started()
        own.create_database(NAME)
        url = own.url(NAME)
        rows(url, "create schema s; create table s.t as select 'good' as state")
        manifest = back_up(url)
        rows(url, "select pg_create_logical_replication_slot('follower', 'pgoutput')")
        rows(
            url,
            "create subscription feed connection 'host=127.0.0.1 port=1' publication p with (connect = false)",
        )
        rows(url, "alter subscription feed enable")
        with cursor(url) as opened:
            opened.execute("begin; insert into s.t values ('x'); prepare transaction 'half done'")

        said = reasons(plan(repo, manifest, url))

        assert (
            "has the prepared transactions half done -> end them: COMMIT PREPARED or ROLLBACK PREPARED"
            in said
        )
        assert "has the logical replication slots follower -> drop them" in said
        assert "has the enabled subscriptions feed -> ALTER SUBSCRIPTION ... DISABLE" in said
        with pytest.raises(GuardRefusal, match="half done"):
            restore(repo, manifest, url, NAME)
        require_untouched(url)
        rows(url, "rollback prepared 'half done'")
        rows(url, "select pg_drop_replication_slot('follower')")
        rows(url, "alter subscription feed disable")
        restore(repo, manifest, url, NAME)
        assert rows(url, "select state from s.t") == [("good",)]


def test_a_dump_of_a_newer_server_is_refused(
    pg15: TestServer, pg18: TestServer, repo: Repository, back_up: Backer
) -> None:
    manifest = back_up(pg18.create_database())

    said = reasons(plan(repo, manifest, pg15.url("postgres")))

    assert "PostgreSQL 15, older than the 18 of the dump -> restore to PostgreSQL 18 or newer" in said


def test_a_dump_of_an_older_server_goes_to_a_newer_one(
    pg15: TestServer, pg18: TestServer, repo: Repository, back_up: Backer
) -> None:
    url = pg15.create_database()
    rows(url, "create table t as select 1 as n")
    manifest = back_up(url)

    report = restore(repo, manifest, pg18.url("postgres"), NAME)
    try:
        assert rows(pg18.url(NAME), "select n from t") == [(1,)]
        assert "the dump is of PostgreSQL 15 and goes to 18" in report.notes
    finally:
        clear(pg18)


def test_another_key_is_refused(stand: str, repo: Repository, back_up: Backer, tmp_path: Path) -> None:
    manifest = back_up(stand)
    found = backup_of(repo, manifest)
    other = file_repository(tmp_path, repo.passphrase_gpg, ("another-passphrase-that-nobody-guesses-0815",))

    planned = plan_restore(other, found, address(stand), name=NAME, programs={}, now=utc_now())

    assert "is not in the ring" in reasons(planned)
    require_untouched(stand)


def test_a_broken_backup_is_refused(stand: str, repo: Repository, back_up: Backer) -> None:
    manifest = back_up(stand)
    repo.store.delete(manifest.prefix + manifest.part("dump").object)

    said = reasons(plan(repo, manifest, stand))

    assert "the backup is broken: dump is missing in the store or of another size" in said


def test_a_damaged_dump_leaves_what_was_there(stand: str, repo: Repository, back_up: Backer) -> None:
    manifest = back_up(stand)
    key = manifest.prefix + manifest.part("dump").object
    content = bytearray(repo.store.get(key, most_bytes=1 << 30))
    content[len(content) // 2] ^= 1
    repo.store.put(key, bytes(content))

    with pytest.raises(HeraldError, match=r"part dump .* is damaged in the store"):
        restore(repo, manifest, stand, NAME)

    require_untouched(stand)
    assert list((repo.work_folder / "archives").iterdir()) == []
    assert list((repo.work_folder / "restores").iterdir()) == []


def test_a_restore_that_fails_in_the_middle_leaves_what_was_there(
    stand: str, repo: Repository, back_up: Backer
) -> None:
    """A function that works on the database it was dumped from, and nowhere else."""
    with cursor(stand) as opened:
        opened.execute(
            "create function s.bad(text) returns bool language plpgsql as $$begin return current_database() = 'stand'; end$$"
        )
        opened.execute("alter table s.t add constraint here check (s.bad(state))")
    manifest = back_up(stand)

    with pytest.raises(CommandFailed, match=r"pg_restore ended with exit code 1.*violates check constraint"):
        restore(repo, manifest, stand, NAME)

    require_untouched(stand)


def test_no_room_in_the_work_folder_is_refused(stand: str, repo: Repository, back_up: Backer) -> None:
    manifest = back_up(stand)
    huge = manifest.part("dump").model_copy(update={"clear_bytes": 1 << 60})
    parts = tuple(huge if each.name == "dump" else each for each in manifest.parts)
    facts = manifest.database.model_copy(update={"size_bytes": 1 << 60})
    found = backup_of(repo, manifest)
    found = replace(found, manifest=manifest.model_copy(update={"parts": parts, "database": facts}))

    planned = plan_restore(repo, found, address(stand), name=NAME, programs={}, now=utc_now())

    assert "and the clear archive takes 1024.0 PiB" in reasons(planned)
    assert "the server has" in reasons(planned)


def test_two_restores_of_one_name_do_not_meet(stand: str, repo: Repository, back_up: Backer) -> None:
    manifest = back_up(stand)
    met: list[str] = []

    def say(text: str) -> None:
        if text.startswith("restore:"):
            with pytest.raises(GuardRefusal, match="another restore of 'stand' is running"):
                restore(repo, manifest, stand, NAME)
            # One of another name does, and leaves the database that is being filled alone.
            met.append(restore(repo, manifest, stand, f"{NAME}_2").name)

    restore(repo, manifest, stand, NAME, say=say)

    assert met == [f"{NAME}_2"]
    assert len(list_before(address(stand), NAME)) == 1


def test_an_extension_that_is_not_there_is_refused(stand: str, repo: Repository, back_up: Backer) -> None:
    manifest = back_up(stand)
    facts = manifest.database.model_copy(update={"extensions": (("plpgsql", "1.0"), ("timescaledb", "2"))})
    found = replace(backup_of(repo, manifest), manifest=manifest.model_copy(update={"database": facts}))

    planned = plan_restore(repo, found, address(stand), name=NAME, programs={}, now=utc_now())

    assert "the server does not offer the extensions timescaledb" in reasons(planned)


def test_an_empty_database_comes_back(
    server: TestServer, stand: str, repo: Repository, back_up: Backer
) -> None:
    rows(stand, "drop schema s cascade")
    manifest = back_up(stand)
    rows(stand, "create table more ()")

    report = restore(repo, manifest, stand, NAME)

    assert report.tables == 0
    assert rows(stand, "select count(*) from pg_class where relname = 'more'") == [(0,)]
    assert rows(with_database(stand, report.kept_as), "select count(*) from more") == [(0,)]
