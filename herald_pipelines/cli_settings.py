"""`herald config` and `herald roles`: parses, calls, prints. Not here: doing anything (operations.py)."""

import click

from herald_pipelines import console, operations
from herald_pipelines.cli_output import cwd, deliver, environ, json_option, print_document


@click.group(epilog="Example: herald config check")
def config() -> None:
    """Read and check herald.yaml."""


@config.command("check", epilog="Example: HERALD_CONFIG=/etc/herald.yaml herald config check --json")
@json_option
def config_check(*, as_json: bool) -> None:
    """Print the resolved settings, or every mistake at once."""
    print_document(operations.check(environ(), cwd()), console.show_settings, as_json=as_json)


@click.command(epilog="Example: herald roles observe | psql postgresql://postgres@db.example/shop")
@click.argument("role", metavar="observe|maintain|ops")
def roles(*, role: str) -> None:
    """Print the SQL that creates a role with the least rights.

    On a target database, or `ops`: the groups of the ops database.
    """
    sql = operations.role_sql(role)
    deliver(lambda: click.echo(sql, nl=False))
