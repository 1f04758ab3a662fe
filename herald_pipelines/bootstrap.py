"""Has the embedded server running while it is used. Not here: making what is missing in it (preparation.py)."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

from herald_pipelines.environment import Environment
from herald_pipelines.errors import UsageError
from herald_pipelines.resources.home import writing_home
from herald_pipelines.values import Say


@contextmanager
def running(environment: Environment, say: Say, *, create: bool = False) -> Generator[None]:
    """Have the embedded server running for the time of a block, where the settings use it.

    Everybody who uses it holds a shared lock; whoever leaves last stops it.

    Args:
        environment: where.
        say: told of a start.
        create: make it where there is none yet.

    Raises:
        UsageError: there is none yet, or the home cannot be written.
        HeraldError: it cannot be started.
    """
    if not environment.uses_embedded:
        yield
        return
    home = environment.settings.home
    with writing_home(home):
        is_set_up = environment.is_set_up
    if not create and not is_set_up:
        raise UsageError(
            f"nothing is set up in {environment.settings.home} yet",
            hint="`herald demo` or `herald up` makes the sample platform; for databases of your own write herald.yaml",
        )
    server = environment.embedded
    with writing_home(home):
        home.mkdir(parents=True, exist_ok=True)
        handle = os.open(home / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        if not server.status().running:
            say("starting the embedded PostgreSQL")
        try:
            server.ensure_started()
            yield
        finally:
            if _is_alone(handle):
                server.stop()
    finally:
        os.close(handle)


def _is_alone(handle: int) -> bool:
    """Whether nobody else uses the server; newcomers then wait until the handle is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
