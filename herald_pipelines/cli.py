"""The `herald` command: parses, calls the same functions as the assets, prints. Not here: decisions, SQL, Dagster.

One JSON document on stdout with --json; logs and progress on stderr. Exit codes: 0 done, 1 the work failed, 2 wrong
usage or configuration, 3 refused by a guard, 128 + n interrupted by signal n.
"""

import logging
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from herald_pipelines import console, console_performance, operations
from herald_pipelines.cli_backup import backup, drill, restore
from herald_pipelines.cli_output import (
    abandon,
    cwd,
    database_option,
    deliver,
    environ,
    json_option,
    print_document,
    reason_of,
)
from herald_pipelines.cli_partitions import partitions
from herald_pipelines.cli_performance import queries
from herald_pipelines.cli_security import security
from herald_pipelines.cli_tables import tables
from herald_pipelines.errors import HeraldError, UsageError
from herald_pipelines.resources import interrupts

SIGNAL_EXIT_BASE = 128
"""Of the shells: a program that signal n ended has the exit code 128 + n."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="herald-pipelines", message="%(version)s")
def herald() -> None:
    """Maintenance that is proven, for PostgreSQL platforms."""


@herald.command(epilog="Example: herald demo --scale 0.2")
@click.option(
    "--scale", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Size of the sample."
)
@json_option
def demo(*, scale: float, as_json: bool) -> None:
    """Run a maintenance window on a sample platform.

    It is in an embedded PostgreSQL, which the first run makes.
    """
    print_document(operations.demo(environ(), cwd(), scale=scale), console.show_demo, as_json=as_json)


@herald.command(epilog="Example: herald up --port 3001")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI."
)
@click.option(
    "--scale", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Size of the sample."
)
def up(*, port: int, scale: float) -> int:
    """Start everything: database, UI, schedules and sensors. Ctrl-C stops all."""
    return operations.up(environ(), cwd(), port=port, scale=scale)


@herald.command(epilog="Example: herald migrate")
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the ops database to this version's schema."""
    print_document(operations.migrate(environ(), cwd()), console.show_migration, as_json=as_json)


@herald.group(epilog="Example: herald config check")
def config() -> None:
    """Read and check herald.yaml."""


@config.command("check", epilog="Example: HERALD_CONFIG=/etc/herald.yaml herald config check --json")
@json_option
def config_check(*, as_json: bool) -> None:
    """Print the resolved settings, or every mistake at once."""
    print_document(operations.check(environ(), cwd()), console.show_settings, as_json=as_json)


@herald.command(epilog="Example: herald run index_rebuild --database shop --dry-run")
@click.argument("task")
@click.option("--window", metavar="KEY", help="Key of an opened window; the newest by default.")
@database_option
@click.option("--dry-run", is_flag=True, help="Print the plan; change and record nothing.")
@json_option
def run(*, task: str, window: str | None, database: str | None, dry_run: bool, as_json: bool) -> int:
    """Run a task of the calendar on one database, or on all.

    `herald config check` names the tasks.
    """
    outcome = operations.run(environ(), cwd(), task=task, window=window, database=database, dry_run=dry_run)
    show = console_performance.show_run if task == "performance_analysis" else console.show_run
    print_document(outcome.document, show, as_json=as_json)
    return outcome.exit_code


@herald.command(epilog="Example: herald windows --missed --database shop")
@click.option("--missed", is_flag=True, help="Only those that should be complete and are not.")
@database_option
@json_option
def windows(*, missed: bool, database: str | None, as_json: bool) -> None:
    """Show the maintenance windows and what became of them."""
    found = operations.windows(environ(), cwd(), missed=missed, database=database)
    print_document(found, console.show_windows, as_json=as_json)


@herald.command(epilog="Example: herald indexes --database shop --json")
@click.option("--database", metavar="NAME", required=True, help="A database of herald.yaml, or ops.")
@json_option
def indexes(*, database: str, as_json: bool) -> None:
    """Show each index with its bloat, its use and the verdicts on it."""
    print_document(
        operations.indexes(environ(), cwd(), database=database), console.show_indexes, as_json=as_json
    )


@herald.command(epilog="Example: herald roles observe | psql postgresql://postgres@db.example/shop")
@click.argument("role", metavar="observe|maintain|ops")
def roles(*, role: str) -> None:
    """Print the SQL that creates a role with the least rights.

    On a target database, or `ops`: the groups of the ops database.
    """
    sql = operations.role_sql(role)
    deliver(lambda: click.echo(sql, nl=False))


def _tell(*lines: str) -> None:
    """Say something on stderr, where somebody listens."""
    try:
        for line in lines:
            click.echo(line, err=True)
    except OSError:
        abandon(sys.stderr)


def _tell_error(error: HeraldError) -> int:
    _tell(f"herald: {error.message}", *([f"HINT: {error.hint}"] if error.hint else []))
    return error.exit_code


herald.add_command(backup)
herald.add_command(restore)
herald.add_command(drill)
herald.add_command(queries)
herald.add_command(security)
herald.add_command(tables)
herald.add_command(partitions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code."""
    interrupts.catch_signals()
    # What libraries warn of (each failed try of Dagster's storage) is said by the error that ends their tries.
    logging.getLogger().addHandler(logging.NullHandler())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What a terminal's encoding lacks is shown by its number.
            stream.reconfigure(errors="backslashreplace")
    code = _invoke(arguments)
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        abandon(sys.stderr)
    sys.exit(code)


def _invoke(arguments: Sequence[str] | None) -> int:
    try:
        code = herald.main(
            args=None if arguments is None else list(arguments), prog_name="herald", standalone_mode=False
        )
    except HeraldError as error:
        return _tell_error(error)
    except click.exceptions.NoArgsIsHelpError as error:
        # A group without a command: its help is the answer, and nothing was done.
        _tell(error.format_message())
        return UsageError.exit_code
    except click.ClickException as error:
        message = error.format_message().rstrip(".")
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = (
            f"`{context.command_path if context else 'herald'} --help` shows what is known, with an example"
        )
        return _tell_error(UsageError(f"{message[:1].lower()}{message[1:]}", hint=hint))
    except (click.Abort, KeyboardInterrupt):
        return _tell_interrupted()
    except OSError as error:
        # Click writes a line where it sees an interrupt, which fails where nobody takes it.
        return _tell_interrupted() if interrupts.received() else _tell_error(_describe(error))
    return code if isinstance(code, int) else 0


def _tell_interrupted() -> int:
    _tell("herald: interrupted")
    return SIGNAL_EXIT_BASE + (interrupts.received() or signal.SIGINT)


def _describe(error: OSError) -> HeraldError:
    """Return the error for what the system refused us: a file, or one of our streams."""
    if isinstance(error, PermissionError):
        return UsageError(
            f"{error.filename} may not be used by this user",
            hint="let HERALD_HOME name a folder that you may write",
        )
    abandon(sys.stdout)
    return HeraldError(f"{error.filename or 'input or output failed'}: {reason_of(error)}")


if __name__ == "__main__":
    main()
