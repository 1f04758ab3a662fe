"""Throw-away servers for the benchmarks: PostgreSQL 14, 15 and 18, where the machine has or can fetch them."""

import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from herald_pipelines.resources.embedded import EmbeddedServer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from server_programs import MissingServerError, server_programs

MAJORS = (14, 15, 18)


def say(text: str) -> None:
    """Tell of progress, beside the result."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def benchmark_server(major: int, *, durable: bool = False) -> Generator[EmbeddedServer | str]:
    """Yield a running server of a major version, or the reason why there is none; unless durable, its data may be lost."""
    try:
        programs = server_programs(major)
    except MissingServerError as error:
        yield str(error)
        return
    # In a folder that the server's system user can reach.
    folder = Path(tempfile.mkdtemp(prefix="herald-bench-"))
    folder.chmod(0o711)
    server = EmbeddedServer(folder / "home", binaries=programs, durable=durable)
    try:
        server.ensure_started()
        yield server
    finally:
        server.stop()
        if not server.data_directory.is_relative_to(folder):
            shutil.rmtree(server.data_directory.parent, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
