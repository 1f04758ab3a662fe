"""Makes ready what the commands need: the embedded server, its databases, the ops schema, the sample platform.

With databases of one's own in herald.yaml, only what is configured as embedded is made; the rest is not touched.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from herald_pipelines.environment import DAGSTER_DATABASE, Environment
from herald_pipelines.migrations import MigrationReport, migrate
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.targets import EMBEDDED_OPS_DATABASE
from herald_pipelines.sample.platform import create_sample
from herald_pipelines.settings import SAMPLE
from herald_pipelines.values import Capability, format_bytes, format_seconds, utc_now

Say = Callable[[str], None]
SAMPLE_SEED = 20260101
SAMPLE_TIMEOUT_SECONDS = 3600.0


@contextmanager
def running(environment: Environment, say: Say) -> Generator[None]:
    """Have the embedded server running for the time of a block, where the settings use it.

    A server that was running before is left running, one that this started is stopped again.

    Raises:
        HeraldError: it cannot be started.
    """
    if not environment.uses_embedded:
        yield
        return
    server = environment.embedded
    was_running = server.status().running
    if not was_running:
        say("starting the embedded PostgreSQL")
    server.ensure_started()
    try:
        yield
    finally:
        if not was_running:
            server.stop()


def prepare(environment: Environment, *, scale: float | None, say: Say) -> MigrationReport:
    """Create what is missing in the embedded server, and bring the ops database to this version's schema.

    Args:
        environment: where.
        scale: size of the sample platform; 1 is about 100 MB. One that is there already keeps its size. None: none is made.
        say: told of each step.

    Raises:
        HeraldError: of the kind that fits.
    """
    server, settings = environment.embedded, environment.settings
    if environment.dagster_url is None:
        server.create_database(DAGSTER_DATABASE)
    if settings.embedded:
        server.create_database(EMBEDDED_OPS_DATABASE)
    report = migrate(environment.targets.ops("migrate", read_only=False))
    for revision in report.applied:
        say(f"ops database: applied {revision}")
    if scale is not None and SAMPLE in settings.databases and settings.databases[SAMPLE].url is None:
        server.create_database(SAMPLE)
        sample = create_sample(
            sample_postgres(environment), scale=scale, seed=SAMPLE_SEED, now=utc_now(), say=say
        )
        say(
            f"sample platform: {format_bytes(sample.size_bytes)} in {len(sample.rows)} tables,"
            f" {format_seconds(sample.seconds)}"
        )
    return report


def sample_postgres(environment: Environment) -> Postgres:
    """Return the sample platform's database for sessions that make it and its workload."""
    target = environment.targets.postgres(SAMPLE, Capability.MAINTAIN, "sample")
    return target.writable(statement_timeout_seconds=SAMPLE_TIMEOUT_SECONDS)
