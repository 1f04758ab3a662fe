"""Makes ready what the commands need: the embedded server's databases, the ops schema, the sample platform.

With databases of one's own in herald.yaml, only what is configured as embedded is made; the rest is not touched.
"""

from collections.abc import Mapping

from herald_pipelines.backup.repository import repository
from herald_pipelines.backup.ring import make_default_key
from herald_pipelines.environment import SINCE_FILE, Environment
from herald_pipelines.migrations import MigrationReport, migrate
from herald_pipelines.resources.dagster_home import DAGSTER_DATABASE, renew_dotenv
from herald_pipelines.resources.home import write_whole, writing_home
from herald_pipelines.resources.postgres import Postgres
from herald_pipelines.resources.targets import EMBEDDED_OPS_DATABASE
from herald_pipelines.sample.platform import create_sample
from herald_pipelines.settings import SAMPLE, Settings
from herald_pipelines.values import Capability, Say, format_bytes, format_seconds, utc_now

SAMPLE_TIMEOUT_SECONDS = 3600.0
OTHERS_SECONDS = 60.0
"""How long to wait for another process that makes the same ready."""


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
        with environment.targets.ops("migrate").session(autocommit=True) as session:
            # `if not exists` fails where two make it at the same moment.
            session.wait_for_lock("migrate", OTHERS_SECONDS)
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
