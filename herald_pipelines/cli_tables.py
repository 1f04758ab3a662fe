"""The command `herald tables`: parses, calls, prints."""

import click

from herald_pipelines import operations_tables
from herald_pipelines.cli_output import cwd, environ, json_option, print_document
from herald_pipelines.console_tables import show_tables


@click.command(epilog="Example: herald tables --database shop --json")
@click.option("--database", metavar="NAME", required=True, help="A database of herald.yaml, or ops.")
@json_option
def tables(*, database: str, as_json: bool) -> None:
    """Show each table with its dead rows, its age, what it needs and what would be done.

    `herald run database_optimization` does it.
    """
    print_document(
        operations_tables.tables(environ(), cwd(), database=database), show_tables, as_json=as_json
    )
