"""`herald indexes`: parses, calls, prints. Not here: measuring and judging (operations.py)."""

import click

from herald_pipelines import console, operations
from herald_pipelines.cli_output import cwd, environ, json_option, print_document


@click.command(epilog="Example: herald indexes --database shop --json")
@click.option("--database", metavar="NAME", required=True, help="A database of herald.yaml, or ops.")
@json_option
def indexes(*, database: str, as_json: bool) -> None:
    """Show each index with its bloat, its use and the verdicts on it."""
    print_document(
        operations.indexes(environ(), cwd(), database=database), console.show_indexes, as_json=as_json
    )
