"""`herald backup`, `herald restore`: parse, call operations, print. Not here: anything else."""

import click

from herald_pipelines import console_backup, operations_backup, operations_restore, operations_retention
from herald_pipelines.backup.facts import Kind
from herald_pipelines.backup.recovery_plan import Mode, Wish
from herald_pipelines.backup.restore_refusals import Selection
from herald_pipelines.cli_output import cwd, database_option, environ, json_option, print_document
from herald_pipelines.errors import UsageError

KINDS = click.Choice([kind.value for kind in Kind])
kind_option = click.option("--kind", type=KINDS, default="database", show_default=True, help="What it is of.")


@click.group(epilog="Example: herald backup create --database shop")
def backup() -> None:
    """Make, list, verify and keep backups."""


@backup.command(epilog="Example: herald backup prepare")
@json_option
def prepare(*, as_json: bool) -> None:
    """Make the place of the settings a store, once.

    Only a place that was made ready is used: the empty folder of a disk that is not mounted is not taken for it.
    """
    document = operations_backup.prepare_store(environ(), cwd())
    print_document(document, console_backup.show_store, as_json=as_json)


@backup.command(epilog="Example: herald backup create --database shop --dry-run")
@kind_option
@database_option
@click.option("--dry-run", is_flag=True, help="Ask all that would refuse it; write nothing.")
@json_option
def create(*, kind: str, database: str | None, dry_run: bool, as_json: bool) -> None:
    """Make a backup now, of one database or all, or of files; beside the calendar's."""
    document = operations_backup.create(environ(), cwd(), kind=Kind(kind), database=database, dry_run=dry_run)
    print_document(document, console_backup.show_created, as_json=as_json)


@backup.command("list", epilog="Example: herald backup list --json")
@database_option
@json_option
def list_all(*, database: str | None, as_json: bool) -> None:
    """Show what is in the store, with what was proven of it."""
    document = operations_backup.list_backups(environ(), cwd(), database=database)
    print_document(document, console_backup.show_backups, as_json=as_json)


@backup.command(epilog="Example: herald backup verify latest --database shop --deep")
@click.argument("wanted", metavar="BACKUP", default="latest")
@kind_option
@database_option
@click.option("--deep", is_flag=True, help="Restore it into a server of its own, and compare every row.")
@json_option
def verify(*, wanted: str, kind: str, database: str | None, deep: bool, as_json: bool) -> int:
    """Verify a backup: an id, `latest`, `latest-proven` or a moment. The verdict is kept beside it."""
    document, passed = operations_backup.verify(
        environ(), cwd(), wanted=wanted, kind=Kind(kind), database=database, deep=deep
    )
    print_document(document, console_backup.show_verdict, as_json=as_json)
    return 0 if passed else 1


@backup.command(epilog="Example: herald backup retention --yes")
@click.option("--yes", is_flag=True, help="Delete what the plan says.")
@json_option
def retention(*, yes: bool, as_json: bool) -> int:
    """Show which backups are kept and which go, and why."""
    document = operations_retention.retention(environ(), cwd(), yes=yes)
    print_document(document, console_backup.show_retention, as_json=as_json)
    return 1 if document["failed"] else 0


@backup.command(epilog="Example: herald backup forget oldshop --yes")
@click.argument("database")
@click.option("--yes", is_flag=True, help="Delete them.")
@json_option
def forget(*, database: str, yes: bool, as_json: bool) -> int:
    """Delete all backups of a database that is in the settings no more, but the held ones."""
    document = operations_retention.forget(environ(), cwd(), database=database, yes=yes)
    print_document(document, console_backup.show_retention, as_json=as_json)
    return 1 if document["failed"] else 0


@backup.command(epilog="Example: herald backup rekey")
@click.argument("wanted", metavar="[BACKUP]", required=False)
@click.option("--dry-run", is_flag=True, help="Say which it would be; write nothing.")
@json_option
def rekey(*, wanted: str | None, dry_run: bool, as_json: bool) -> int:
    """Encrypt a backup anew with the first key of the settings; without an id, all that are not yet."""
    document = operations_backup.rekey(environ(), cwd(), wanted=wanted, dry_run=dry_run)
    print_document(document, console_backup.show_rekeyed, as_json=as_json)
    return 1 if document["failed"] else 0


@backup.command(epilog="Example: herald backup hold shop-20261124T003005Z-a1b2c3 --reason 'case 4711'")
@click.argument("wanted", metavar="BACKUP")
@click.option("--reason", required=True, help="Why it is kept.")
@json_option
def hold(*, wanted: str, reason: str, as_json: bool) -> None:
    """Keep a backup whatever its age, until `herald backup release`."""
    document = operations_backup.hold(environ(), cwd(), wanted=wanted, reason=reason)
    print_document(document, console_backup.show_hold, as_json=as_json)


@backup.command(epilog="Example: herald backup release shop-20261124T003005Z-a1b2c3")
@click.argument("wanted", metavar="BACKUP")
@json_option
def release(*, wanted: str, as_json: bool) -> None:
    """Let a held backup go when its time has come."""
    document = operations_backup.hold(environ(), cwd(), wanted=wanted, reason=None)
    print_document(document, console_backup.show_hold, as_json=as_json)


@click.command(
    epilog="Example: herald restore latest-proven --mode database --database shop --yes",
)
@click.argument("wanted", metavar="[BACKUP]", required=False)
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="What is recovered.")
@click.option(
    "--database", "databases", metavar="NAME", multiple=True, help="Which database; full: only these."
)
@click.option("--as", "as_name", metavar="NAME", help="Restore into a database of this name.")
@click.option(
    "--schema", "schemas", metavar="NAME", multiple=True, help="Only this schema, into a new database."
)
@click.option(
    "--table", "tables", metavar="SCHEMA.NAME", multiple=True, help="Only this table, into a new database."
)
@click.option("--only", metavar="PATH", multiple=True, help="Only these files, put in place one by one.")
@click.option("--yes", is_flag=True, help="Do what the plan says.")
@click.option("--dry-run", is_flag=True, help="Print the plan, as without --yes.")
@click.option("--undo", is_flag=True, help="Give back what the last restore replaced.")
@click.option("--resume", is_flag=True, help="Go on with a recovery that was interrupted.")
@click.option("--discard", is_flag=True, help="Forget one, and start its services.")
@json_option
def restore(
    *,
    wanted: str | None,
    mode: str | None,
    databases: tuple[str, ...],
    as_name: str | None,
    schemas: tuple[str, ...],
    tables: tuple[str, ...],
    only: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    undo: bool,
    resume: bool,
    discard: bool,
    as_json: bool,
) -> int:
    """Recover from a backup: an id, `latest`, `latest-proven` or a moment. The plan is printed first; --yes does it.

    A database is restored into a new one and swapped in when all of it is right; the one before is kept.
    """
    if yes and dry_run:
        raise UsageError("--yes and --dry-run say the opposite", hint="without --yes nothing is done")
    if resume or discard:
        document = operations_restore.resume(environ(), cwd(), discard=discard)
        print_document(document, console_backup.show_recovery, as_json=as_json)
        return 0
    if mode is None:
        raise UsageError(
            "which mode? (known: database, application, configuration, full)", hint="--mode database"
        )
    if undo:
        if len(databases) > 1:
            raise UsageError("--undo is for one database at a time", hint="--database NAME")
        name = databases[0] if databases else None
        document = operations_restore.undo(environ(), cwd(), mode=Mode(mode), database=name, yes=yes)
        print_document(document, console_backup.show_recovery, as_json=as_json)
        return 0
    if wanted is None:
        raise UsageError(
            "which backup? (known: an id, latest, latest-proven, or a moment)", hint="herald backup list"
        )
    wish = Wish(
        wanted=wanted,
        mode=Mode(mode),
        databases=databases,
        as_name=as_name,
        selection=Selection(schemas, tuple(_table(each) for each in tables)),
        only=only,
    )
    document, code = operations_restore.restore(environ(), cwd(), wish, yes=yes)
    print_document(document, console_backup.show_recovery, as_json=as_json)
    return code


@click.command(epilog="Example: herald drill --database shop")
@database_option
@click.option("--dry-run", is_flag=True, help="Say which backups it would be; write nothing.")
@json_option
def drill(*, database: str | None, dry_run: bool, as_json: bool) -> int:
    """Restore the newest backups into a server and a folder of their own, compare, and measure.

    Nothing of the platform is touched.
    """
    document, code = operations_restore.drill(environ(), cwd(), database=database, dry_run=dry_run)
    print_document(document, console_backup.show_drill, as_json=as_json)
    return code


def _table(text: str) -> tuple[str, str]:
    schema, dot, name = text.partition(".")
    if not dot or not schema or not name:
        raise UsageError(f"{text!r} is no table with its schema", hint="such as public.matches")
    return schema, name
