"""What restores have put aside is named with its age and size until somebody drops it."""

from collections.abc import Callable
from datetime import timedelta

from bank import execute
from restoring import address, cursor, restore

from herald_pipelines.backup.facts import Manifest
from herald_pipelines.backup.put_aside import MOST_AGE, check_put_aside, list_put_aside
from herald_pipelines.backup.repository import Repository
from herald_pipelines.values import utc_now
from servers import TestServer


def test_a_database_of_before_a_restore(
    server: TestServer, repo: Repository, back_up: Callable[[str], Manifest]
) -> None:
    url = server.create_database()
    name = url.rpartition("/")[2]
    execute(url, "create table t (a int)")
    kept = restore(repo, back_up(url), url, name).kept_as
    assert kept is not None
    try:
        with address(url).session() as session:
            found = list_put_aside(session, name)
            assert list_put_aside(session, "another") == ()
    finally:
        with cursor(server.url("postgres")) as opened:
            opened.execute(f'drop database "{kept}" with (force)')

    (one,) = found
    assert one.name == kept
    assert one.size_bytes is not None
    assert one.size_bytes > 1_000_000
    now = utc_now()
    assert check_put_aside(found, now).passed
    old = check_put_aside(found, now + MOST_AGE + timedelta(hours=1))
    assert (old.passed, old.is_error, old.metadata["put_aside_bytes"]) == (False, False, one.size_bytes)
    assert "7.0 days ago" in old.summary
    assert f"drop database {kept}" in old.summary.replace('"', "")
    assert check_put_aside((), now).passed
