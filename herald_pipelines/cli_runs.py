"""`herald demo`, `up`, `migrate`, `run` and `windows`: parses, calls, prints. Not here: doing it (operations_runs.py)."""

import click

from herald_pipelines import console, console_performance, operations_runs
from herald_pipelines.cli_output import cwd, database_option, environ, json_option, print_document


@click.command(epilog="Example: herald demo --scale 0.2")
@click.option(
    "--scale", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Size of the sample."
)
@json_option
def demo(*, scale: float, as_json: bool) -> None:
    """Run a maintenance window on a sample platform.

    It is in an embedded PostgreSQL, which the first run makes.
    """
    print_document(operations_runs.demo(environ(), cwd(), scale=scale), console.show_demo, as_json=as_json)


@click.command(epilog="Example: herald up --port 3001")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI."
)
@click.option(
    "--scale", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="Size of the sample."
)
def up(*, port: int, scale: float) -> int:
    """Start everything: database, UI, schedules and sensors. Ctrl-C stops all."""
    return operations_runs.up(environ(), cwd(), port=port, scale=scale)


@click.command(epilog="Example: herald migrate")
@json_option
def migrate(*, as_json: bool) -> None:
    """Bring the ops database to this version's schema."""
    print_document(operations_runs.migrate(environ(), cwd()), console.show_migration, as_json=as_json)


@click.command(epilog="Example: herald run index_rebuild --database shop --dry-run")
@click.argument("task")
@click.option("--window", metavar="KEY", help="Key of an opened window; the newest by default.")
@database_option
@click.option("--dry-run", is_flag=True, help="Print the plan; change and record nothing.")
@json_option
def run(*, task: str, window: str | None, database: str | None, dry_run: bool, as_json: bool) -> int:
    """Run a task of the calendar on one database, or on all.

    `herald config check` names the tasks.
    """
    outcome = operations_runs.run(
        environ(), cwd(), task=task, window=window, database=database, dry_run=dry_run
    )
    show = console_performance.show_run if task == "performance_analysis" else console.show_run
    print_document(outcome.document, show, as_json=as_json)
    return outcome.exit_code


@click.command(epilog="Example: herald windows --missed --database shop")
@click.option("--missed", is_flag=True, help="Only those that should be complete and are not.")
@database_option
@json_option
def windows(*, missed: bool, database: str | None, as_json: bool) -> None:
    """Show the maintenance windows and what became of them."""
    found = operations_runs.windows(environ(), cwd(), missed=missed, database=database)
    print_document(found, console.show_windows, as_json=as_json)
