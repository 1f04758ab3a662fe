"""Which url, timeouts and read-only state a connection to a database gets."""

from pathlib import Path

import pytest

from herald_pipelines.errors import UsageError
from herald_pipelines.resources.targets import Targets
from herald_pipelines.settings import load_settings
from herald_pipelines.values import Capability

TEXT = """\
version: 1
databases:
  shop:
    url:
      observe: {env: OBSERVE_URL}
      maintain: {env: MAINTAIN_URL}
    replicas:
      standby1: postgresql://role@standby1/shop
    statement_timeout_seconds: 7
    lock_timeout_seconds: 0.5
  games:
    url: postgresql://role@db/games
"""
ENVIRON = {
    "OBSERVE_URL": "postgresql://reader:word1@db/shop",
    "MAINTAIN_URL": "postgresql://owner:word2@db/shop",
}


def targets(folder: Path, text: str | None = TEXT, environ: dict[str, str] | None = None) -> Targets:
    if text is not None:
        (folder / "herald.yaml").write_text(text, encoding="utf-8")
    return Targets(
        load_settings({}, folder),
        ENVIRON if environ is None else environ,
        "postgresql://herald@127.0.0.1:5999/{}".format,
    )


def test_each_capability_has_its_url_and_the_database_its_timeouts(tmp_path: Path) -> None:
    found = targets(tmp_path)
    observe = found.postgres("shop", Capability.OBSERVE, "index_stats")
    maintain = found.postgres("shop", Capability.MAINTAIN, "index_rebuild")
    assert (observe.url, maintain.url) == (ENVIRON["OBSERVE_URL"], ENVIRON["MAINTAIN_URL"])
    assert (observe.database, observe.task, maintain.task) == ("shop", "index_stats", "index_rebuild")
    assert (observe.statement_timeout_seconds, observe.lock_timeout_seconds) == (7, 0.5)


def test_reading_sessions_are_read_only(tmp_path: Path) -> None:
    found = targets(tmp_path)
    read_only = {each: found.postgres("games", each, "t").read_only for each in Capability}
    assert read_only == {
        Capability.OBSERVE: True,
        Capability.BACKUP: True,
        Capability.MAINTAIN: False,
        Capability.RESTORE: False,
    }
    assert [found.ops("t").read_only, found.ops("t", read_only=True).read_only] == [False, True]


def test_replicas_are_read_by_name(tmp_path: Path) -> None:
    found = targets(tmp_path)
    [(name, standby)] = found.replicas("shop", "index_stats").items()
    assert (name, standby.url, standby.database) == (
        "standby1",
        "postgresql://role@standby1/shop",
        "shop/standby1",
    )
    assert standby.read_only
    assert found.replicas("games", "index_stats") == {}


def test_without_urls_the_embedded_server_is_meant(tmp_path: Path) -> None:
    found = targets(tmp_path, text=None)
    assert (
        found.postgres("platform", Capability.MAINTAIN, "t").url
        == "postgresql://herald@127.0.0.1:5999/platform"
    )
    assert found.ops("t").url == "postgresql://herald@127.0.0.1:5999/herald"
    assert found.postgres("ops", Capability.OBSERVE, "t").url == found.ops("t").url


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    found = targets(tmp_path, environ={"OBSERVE_URL": "word3"})
    with pytest.raises(UsageError, match=r"unknown database 'shp' \(known: games, ops, shop\)"):
        found.postgres("shp", Capability.OBSERVE, "t")
    with pytest.raises(UsageError, match=r"add databases\.shop\.url\.restore"):
        found.postgres("shop", Capability.RESTORE, "t")
    with pytest.raises(UsageError, match="the environment variable MAINTAIN_URL is not set"):
        found.postgres("shop", Capability.MAINTAIN, "t")
    with pytest.raises(
        UsageError, match=r"the url that \{env: OBSERVE_URL\} holds is not a url such as"
    ) as caught:
        found.postgres("shop", Capability.OBSERVE, "t")
    assert "word3" not in str(caught.value)


def test_no_secret_shows(tmp_path: Path) -> None:
    found = targets(tmp_path)
    text = (
        repr(found)
        + repr(found.postgres("shop", Capability.MAINTAIN, "t"))
        + repr(found.replicas("shop", "t"))
    )
    assert "word" not in text
