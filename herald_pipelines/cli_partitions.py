"""`herald partitions`: parse, call operations, print. Not here: anything else."""

import click

from herald_pipelines import console_partitions, operations_partitions
from herald_pipelines.cli_output import cwd, database_option, environ, json_option, print_document
from herald_pipelines.errors import UsageError


@click.group(epilog="Example: herald partitions plan")
def partitions() -> None:
    """Plan partitions by time, and bring archived ones back."""


@partitions.command("plan", epilog="Example: herald partitions plan --database shop --json")
@database_option
@json_option
def plan(*, database: str | None, as_json: bool) -> None:
    """Show what becomes of every partition, and which are missing ahead. Changes nothing."""
    document = operations_partitions.plan(environ(), cwd(), database=database)
    print_document(document, console_partitions.show_plan, as_json=as_json)


@partitions.command("restore", epilog="Example: herald partitions restore public.matches_2025_01 --yes")
@click.argument("wanted", metavar="PARTITION")
@database_option
@click.option("--yes", is_flag=True, help="Do what the plan says.")
@click.option("--dry-run", is_flag=True, help="Print the plan, as without --yes.")
@json_option
def restore(*, wanted: str, database: str | None, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Bring a detached or archived partition back, attached: by its name, or the id of its archive.

    One that is only detached is attached again; one that was dropped comes from the store. The plan is printed first.
    """
    if yes and dry_run:
        raise UsageError("--yes and --dry-run say the opposite", hint="without --yes nothing is done")
    document, code = operations_partitions.restore(
        environ(), cwd(), wanted=wanted, database=database, yes=yes
    )
    print_document(document, console_partitions.show_return, as_json=as_json)
    return code
