"""Statements that may take long: they end when this process is told to stop, and have timeouts of their own.

Not here: which statements, and what follows from their errors.
"""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

from herald_pipelines.errors import DatabaseUnavailable, HeraldError
from herald_pipelines.resources.postgres import Postgres, Session

PROGRESS_SECONDS = 5.0


def run_stoppable(
    session: Session, statement: str, *, every_few_seconds: Callable[[], None] = lambda: None
) -> None:
    """Run a statement that may take long; stopping this process stops the server too.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    # In a thread, because the driver lets no signal in while it waits for an answer.
    with ThreadPoolExecutor(max_workers=1) as pool:
        answer = pool.submit(session.execute, statement)
        try:
            while not wait([answer], timeout=PROGRESS_SECONDS).done:
                every_few_seconds()
        except BaseException:
            while not answer.done():
                session.connection.cancel()  # in vain where the statement has not begun yet
                wait([answer], timeout=1)
            raise
    answer.result()


@contextmanager
def timeouts(
    session: Session, usual: Postgres, *, lock_seconds: float, statement_seconds: float
) -> Generator[None]:
    """Give the statements of a block other timeouts than the session's usual ones, which hold again after it.

    Raises:
        HeraldError: of the kind that fits what the server said.
    """
    _set_timeouts(session, lock_seconds, statement_seconds)
    try:
        yield
    except HeraldError:
        # A session that is gone has another error to tell.
        with suppress(DatabaseUnavailable):
            _set_timeouts(session, usual.lock_timeout_seconds, usual.statement_timeout_seconds)
        raise
    _set_timeouts(session, usual.lock_timeout_seconds, usual.statement_timeout_seconds)


def _set_timeouts(session: Session, lock_seconds: float, statement_seconds: float) -> None:
    session.execute(f"set lock_timeout = {round(lock_seconds * 1000)}")
    session.execute(f"set statement_timeout = {round(statement_seconds * 1000)}")
