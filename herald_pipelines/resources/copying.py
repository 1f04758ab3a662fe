"""COPY out of a server, row after row. Not here: what the rows are."""

from collections.abc import Callable
from dataclasses import dataclass

from herald_pipelines.resources.postgres import Session, translate_error


def copy_out(session: Session, statement: str, take: Callable[[bytes], None]) -> None:
    """Run a COPY ... TO STDOUT.

    Args:
        session: any.
        statement: put together in code; identifiers are quoted already.
        take: gets each row as text, with its line feed.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    try:
        with session.connection.cursor() as cursor:
            cursor.copy_expert(statement, _Sink(take))
    except session.connection.Error as error:
        raise translate_error(error, f"copy on {session.database}") from error


@dataclass(frozen=True)
class _Sink:
    """What psycopg2 writes the rows to."""

    write: Callable[[bytes], None]
