"""Hours and days go into the store as Parquet, and come back as a pandas DataFrame."""

from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml
from clinic import Shop, execute, fixed

from herald_pipelines.assembly import build_definitions
from herald_pipelines.environment import Environment
from herald_pipelines.errors import HeraldError
from herald_pipelines.health.assets import day_of
from herald_pipelines.health.history import record
from herald_pipelines.health.results import Executed, HealthResult, Status
from herald_pipelines.registry import TASKS
from herald_pipelines.resources.object_store.file_store import FileStore
from herald_pipelines.settings import OPS
from herald_pipelines.task_assets import asset_key
from herald_pipelines.tasks import TaskResult, execute_task
from herald_pipelines.values import utc_now

pytestmark = pytest.mark.parametrize("server", ["pg18"], indirect=True)


def with_store(shop: Shop) -> FileStore:
    """Give the shop a store."""
    text = yaml.safe_load((shop.home / "herald.yaml").read_text())
    text["backup"] = {
        "store": (shop.home / "store").as_uri(),
        "passphrases": [{"env": "BACKUP_KEY"}],
        "platform": "arena",
    }
    (shop.home / "herald.yaml").write_text(yaml.safe_dump(text))
    shop.environ["BACKUP_KEY"] = "kJ8s0dpqLmvTz4Xr9NwQ2yBhCfGaEu7R"
    store = FileStore(shop.home / "store")
    store.prepare()
    return store


def run(shop: Shop, *windows: str, dry_run: bool = False, said: list[str] | None = None) -> TaskResult:
    environment = Environment.load(shop.environ, shop.home)
    return execute_task(
        TASKS["health_history"],
        OPS,
        covered=windows,
        late=len(windows) > 1,
        dry_run=dry_run,
        now=utc_now(),
        run_id="test",
        settings=environment.settings,
        targets=environment.targets,
        say=(said if said is not None else list[str]()).append,
    )


def write_day(shop: Shop, day: datetime) -> None:
    """Write an hour of a day: 60 minutes of which 6 are unhealthy."""
    check = fixed("x", Status.HEALTHY, frequency=60.0)
    results = [
        Executed(
            check,
            HealthResult(
                Status.UNHEALTHY if 10 <= minute < 16 else Status.HEALTHY,
                "",
                {},
                day + timedelta(hours=5, minutes=minute),
                0.010,
            ),
        )
        for minute in range(60)
    ]
    record(shop.ops, results, run_id=None)


def test_the_day_before_each_window_is_in_the_store(shop: Shop):
    store = with_store(shop)
    windows = [(utc_now() - timedelta(days=n)).strftime("%Y-%m-%d") for n in (2, 1, 0)]
    for window in (windows[0], windows[2]):
        write_day(shop, day_of(window))
    planned = run(shop, *windows, dry_run=True)
    assert planned.summary["counted"] == planned.summary["exported"] == 0
    assert list(store.list("")) == []

    result = run(shop, *windows)
    keys = [f"arena/health_history/{day_of(each):%Y-%m-%d}.parquet" for each in (windows[0], windows[2])]
    assert result.document["objects"] == [each.key for each in store.list("")] == keys  # gaps are gaps
    assert result.summary == {"counted": 4, "days": 2, "rows": 4, "exported": 2}
    numbers: dict[str, Any] = dict(result.metadata["health_history"])
    assert numbers["uptime_ratio_shop"] == pytest.approx(56 / 62)
    assert numbers["mean_time_to_recover_seconds_shop"] == 360
    assert "| shop/x | 90.3226% |" in numbers["day"].text

    frame = pd.read_parquet(BytesIO(store.get(keys[0], most_bytes=10**6)))
    assert frame["starts_at"].tolist() == [day_of(windows[0]), day_of(windows[0]) + timedelta(hours=5)]
    assert frame["period"].tolist() == ["day", "hour"]
    assert frame["down_seconds"].tolist() == [360.0, 360.0]

    # As Dagster gives it to an asset that takes it.
    definitions = build_definitions(Environment.load(shop.environ, shop.home))
    with dg.instance_for_test() as instance:

        def load(window: str) -> pd.DataFrame:
            return definitions.load_asset_value(
                asset_key("health_history"), instance=instance, partition_key=f"{OPS}|{window}"
            )

        pd.testing.assert_frame_equal(load(windows[0]), frame, check_dtype=False)
        empty = load(windows[1])
    assert (len(empty), list(empty.columns), dict(empty.dtypes)) == (
        0,
        list(frame.columns),
        dict(load(windows[0]).dtypes),
    )


def test_the_same_window_again_writes_what_it_was(shop: Shop):
    store = with_store(shop)
    window = utc_now().strftime("%Y-%m-%d")
    write_day(shop, day_of(window))
    run(shop, window)
    (before,) = store.list("")
    content = store.get(before.key, most_bytes=10**6)
    again = run(shop, window)
    assert again.summary["counted"] == 0
    assert store.get(before.key, most_bytes=10**6) == content


def test_without_a_store_the_days_are_counted_all_the_same(shop: Shop):
    said: list[str] = []
    window = utc_now().strftime("%Y-%m-%d")
    write_day(shop, day_of(window))
    assert run(shop, window, said=said).summary == {"counted": 2, "days": 1, "rows": 2, "exported": 0}
    assert "there is no store" in said[0]


def test_a_store_that_is_away_fails_the_window(shop: Shop):
    store = with_store(shop)
    window = utc_now().strftime("%Y-%m-%d")
    write_day(shop, day_of(window))
    (shop.home / "store").rename(shop.home / "elsewhere")
    with pytest.raises(HeraldError, match="store"):
        run(shop, window)
    outcome = "select outcome from herald.maintenance_log where task = 'health_history'"
    assert execute(shop.ops_url, outcome) == [("failed",)]
    (shop.home / "elsewhere").rename(shop.home / "store")
    assert run(shop, window).summary["exported"] == len(list(store.list(""))) == 1
