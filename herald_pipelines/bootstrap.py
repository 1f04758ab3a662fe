"""Makes ready what the commands need: the embedded server, its databases, the ops schema, the sample platform.

With databases of one's own in herald.yaml, only what is configured as embedded is made; the rest is not touched.
"""

import fcntl
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from herald_pipelines.backup.repository import repository
from herald_pipelines.backup.ring import make_default_key
from herald_pipelines.environment import SINCE_FILE, Environment
from herald_pipelines.errors import UsageError
from herald_pipelines.migrations import MigrationReport, migrate
from herald_pipelines.resources.dagster_home import DAGSTER_DATABASE, renew_dotenv
from herald_pipelines.resources.home import write_whole, writing_home
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.targets import EMBEDDED_OPS_DATABASE
from herald_pipelines.sample.platform import create_sample
from herald_pipelines.settings import SAMPLE, Settings
from herald_pipelines.values import Capability, Say, format_bytes, format_seconds, utc_now

SAMPLE_TIMEOUT_SECONDS = 3600.0


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


def prepare(environment: Environment, *, scale: float | None, say: Say) -> MigrationReport:
    """Create what is missing in the embedded server, and bring the ops database to this version's schema.

    Args:
        environment: where.
        scale: size of the sample platform; 1 is about 100 MB. One that is there already keeps its size. None: none is made.
        say: told of each step.

    Raises:
        HeraldError: of the kind that fits.
    """
    server = environment.embedded
    if environment.dagster_url is None:
        server.create_database(DAGSTER_DATABASE)
    if environment.settings.embedded:
        server.create_database(EMBEDDED_OPS_DATABASE)
    report = migrate(environment.targets.ops("migrate", read_only=False))
    if environment.settings.embedded:
        # Elsewhere it is the operator's to create: it takes a superuser.
        with environment.targets.ops("migrate").session() as session:
            session.execute("create extension if not exists pg_stat_statements with schema public")
    for revision in report.applied:
        say(f"ops database: applied {revision}")
    home = environment.settings.home
    with writing_home(home):
        home.mkdir(parents=True, exist_ok=True)
        note = home / SINCE_FILE
        if not note.exists():
            write_whole(note, f"{utc_now():%Y-%m-%d}\n")
    renew_dotenv(environment.environ, home, environment.storage_url, say)
    if environment.settings.backup.store is None and environment.settings.embedded:
        prepare_default_store(environment.settings, environment.environ)
    if environment.has_sample:
        server.create_database(SAMPLE)
    if environment.has_sample and scale is not None:
        sample = create_sample(sample_postgres(environment), scale=scale, now=utc_now(), say=say)
        if sample.created:
            say(
                f"sample platform: {format_bytes(sample.size_bytes)} in {len(sample.rows)} tables,"
                f" {format_seconds(sample.seconds)}"
            )
    return report


def prepare_default_store(settings: Settings, environ: Mapping[str, str]) -> None:
    """Make the embedded default's key and store where they are missing.

    Raises:
        UsageError: the home cannot be written.
    """
    with writing_home(settings.home):
        make_default_key(settings)
    with repository(settings, environ) as place:
        place.store.prepare()


def sample_postgres(environment: Environment) -> Postgres:
    """Return the sample platform's database for sessions that make it and its workload."""
    target = environment.targets.postgres(SAMPLE, Capability.MAINTAIN, "sample")
    return target.writable(statement_timeout_seconds=SAMPLE_TIMEOUT_SECONDS)
