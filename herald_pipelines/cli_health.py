"""`herald health`: parse, call operations, print. Not here: anything else."""

import click

from herald_pipelines import console_health, operations_health
from herald_pipelines.cli_output import cwd, database_option, environ, json_option, print_document


@click.command(epilog="Example: herald health --database shop")
@database_option
@json_option
def health(*, database: str | None, as_json: bool) -> int:
    """Ask everything how it is, now: databases, host, Dagster, endpoints, the Riot API.

    With a database, only that one. Nothing is recorded. Exits with 1 where something is unhealthy.
    """
    document, code = operations_health.health(environ(), cwd(), database=database)
    print_document(document, console_health.show_health, as_json=as_json)
    return code
