"""`herald queries`: parse, call operations, print. Not here: anything else."""

import click

from herald_pipelines import console_performance, operations_performance
from herald_pipelines.cli_output import cwd, database_option, environ, json_option, print_document


@click.command(epilog="Example: herald queries --database shop --limit 5")
@database_option
@click.option(
    "--limit",
    type=click.IntRange(1, 5000),
    default=20,
    show_default=True,
    help="Queries shown, of those that took most time.",
)
@json_option
def queries(*, database: str | None, limit: int, as_json: bool) -> int:
    """Show which queries take the time, and which became slower, on one database or on all.

    Counted is what the newest window holds and what came since. Nothing is recorded.
    """
    document, code = operations_performance.queries(environ(), cwd(), database=database, limit=limit)
    print_document(document, console_performance.show_queries, as_json=as_json)
    return code
