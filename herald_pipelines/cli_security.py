"""`herald security`: parse, call operations, print. Not here: anything else."""

import click

from herald_pipelines import console_security, operations_security
from herald_pipelines.cli_output import cwd, database_option, environ, json_option, print_document


@click.command(epilog="Example: herald security --database shop")
@database_option
@json_option
def security(*, database: str | None, as_json: bool) -> int:
    """Show what is weak about a database and its server, or about all: evidence, fix, and what could not be seen.

    With ops, about this host as well: files of keys and settings, the store, Python packages. Nothing is changed.
    """
    document, code = operations_security.security(environ(), cwd(), database=database)
    print_document(document, console_security.show_security, as_json=as_json)
    return code
