"""The `herald` command: parses, calls the same functions as the assets, prints. Not here: decisions, SQL, Dagster.

One JSON document on stdout with --json; logs and progress on stderr. Exit codes: 0 done, 1 the work failed, 2 wrong
usage or configuration, 3 refused by a guard.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from herald_pipelines import console, operations
from herald_pipelines.errors import HeraldError, UsageError

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
database_option = click.option("--database", metavar="NAME", help="A database of herald.yaml, or ops.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="herald-pipelines", message="%(version)s")
def herald() -> None:
    """Maintenance that is proven, for PostgreSQL platforms."""


@herald.command()
@click.option(
    "--scale", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Size of the sample."
)
@json_option
def demo(*, scale: float, as_json: bool) -> None:
    """Run a maintenance window on a sample platform, in an embedded PostgreSQL."""
    _print(operations.demo(_environ(), Path.cwd(), scale=scale), console.show_demo, as_json=as_json)


@herald.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI."
)
@click.option(
    "--scale", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Size of the sample."
)
def up(*, port: int, scale: float) -> None:
    """Start everything: database, UI, schedules and sensors. Ctrl-C stops all."""
    sys.exit(operations.up(_environ(), Path.cwd(), port=port, scale=scale))


@herald.command()
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the ops database to this version's schema."""
    _print(operations.migrate(_environ(), Path.cwd()), console.show_migration, as_json=as_json)


@herald.command(hidden=True)
def dotenv() -> None:
    """Write the .env by which `dg` finds this home's Dagster instance; `make` does."""
    operations.write_env(_environ(), Path.cwd())


@herald.group()
def config() -> None:
    """Read and check herald.yaml."""


@config.command("check")
@json_option
def config_check(*, as_json: bool) -> None:
    """Print the resolved settings, or every mistake at once."""
    _print(operations.check(_environ(), Path.cwd()), console.show_settings, as_json=as_json)


@herald.command()
@click.argument("task")
@click.option("--window", metavar="KEY", help="Key of an opened window; the newest by default.")
@database_option
@click.option("--dry-run", is_flag=True, help="Print the plan; change and record nothing.")
@json_option
def run(*, task: str, window: str | None, database: str | None, dry_run: bool, as_json: bool) -> None:
    """Run a task of the calendar on one database, or on all."""
    outcome = operations.run(
        _environ(), Path.cwd(), task=task, window=window, database=database, dry_run=dry_run
    )
    _print(outcome.document, console.show_run, as_json=as_json)
    sys.exit(outcome.exit_code)


@herald.command()
@click.option("--missed", is_flag=True, help="Only those that are missing, waiting or given up.")
@database_option
@json_option
def windows(*, missed: bool, database: str | None, as_json: bool) -> None:
    """Show the maintenance windows and what became of them."""
    found = operations.windows(_environ(), Path.cwd(), missed=missed, database=database)
    _print(found, console.show_windows, as_json=as_json)


@herald.command()
@click.option("--database", metavar="NAME", required=True, help="A database of herald.yaml, or ops.")
@json_option
def indexes(*, database: str, as_json: bool) -> None:
    """Show each index with its bloat, its use and the verdicts on it."""
    _print(
        operations.indexes(_environ(), Path.cwd(), database=database), console.show_indexes, as_json=as_json
    )


def _environ() -> Mapping[str, str]:
    return dict(os.environ)


def _print(document: Mapping[str, Any], show: Any, *, as_json: bool) -> None:  # noqa: ANN401 - a function of the document
    if as_json:
        click.echo(json.dumps(document, indent=2, default=str))
    else:
        show(document)


def _say_error(error: HeraldError) -> None:
    click.echo(f"herald: {error.message}", err=True)
    if error.hint:
        click.echo(f"HINT: {error.hint}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code."""
    try:
        herald.main(
            args=None if arguments is None else list(arguments), prog_name="herald", standalone_mode=False
        )
    except HeraldError as error:
        _say_error(error)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        # A group without a command: its help is the answer, and nothing was done.
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        message = error.format_message().rstrip(".")
        click.echo(f"herald: {message[:1].lower()}{message[1:]}", err=True)
        click.echo(
            "HINT: `herald --help` lists the commands, `herald COMMAND --help` their options", err=True
        )
        sys.exit(2)
    except PermissionError as error:
        _say_error(
            UsageError(
                f"{error.filename} may not be used by this user",
                hint="let HERALD_HOME name a folder that you may write",
            )
        )
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("herald: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (`herald windows | head`): not an error worth a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
