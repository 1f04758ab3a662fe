"""The names that people and scripts rely on, as Dagster loads them in a fresh interpreter without a database."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from herald_pipelines.assembly import build_definitions
from herald_pipelines.environment import Environment
from herald_pipelines.errors import UsageError
from herald_pipelines.task_assets import asset_key

YAML = """
version: 1
ops: {url: "postgresql://herald@127.0.0.1:1/herald", since: 2026-10-01}
databases:
  platform: {url: "postgresql://herald@127.0.0.1:1/platform", since: 2026-10-01}
"""

PRINT = """
import json
from herald_pipelines.definitions import defs
print(json.dumps({
    "assets": sorted(spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()),
    "jobs": sorted(job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")),
    "schedules": {s.name: s.cron_schedule for s in defs.get_repository_def().schedule_defs},
    "sensors": [s.name for s in defs.get_repository_def().sensor_defs],
}))
"""


@pytest.fixture
def definitions(tmp_path: Path) -> dg.Definitions:
    (tmp_path / "herald.yaml").write_text(YAML)
    return build_definitions(Environment.load({}, tmp_path))


def test_names_in_a_fresh_interpreter_without_a_database(tmp_path: Path):
    (tmp_path / "herald.yaml").write_text(YAML)
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("HERALD_", "DAGSTER_"))
    }
    run = subprocess.run(
        [sys.executable, "-W", "error::dagster.BetaWarning", "-c", PRINT],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "assets": [
            "herald/application_backup",
            "herald/backup_retention",
            "herald/backup_verification",
            "herald/configuration_backup",
            "herald/database_backup",
            "herald/database_optimization",
            "herald/disaster_recovery_test",
            "herald/full_database_maintenance",
            "herald/health_checks",
            "herald/health_history",
            "herald/health_status",
            "herald/index_analysis",
            "herald/index_rebuild",
            "herald/index_soundness",
            "herald/index_stats",
            "herald/partition_archive",
            "herald/partition_cleanup",
            "herald/partition_inventory",
            "herald/performance_analysis",
            "herald/performance_baseline",
            "herald/security_audit",
            "herald/security_scan",
            "herald/statement_snapshot",
            "herald/statistics_update",
            "herald/table_stats",
            "herald/unused_index_report",
            "herald/upcoming_partitions",
            "herald/vacuum_plan",
        ],
        "jobs": ["backup", "deep_maintenance", "inspection", "maintenance", "monthly_review", "restore"],
        "schedules": {
            "backup_daily": "30 0 * * *",
            "deep_maintenance_weekly": "0 1 * * 0",
            "inspection_daily": "0 4 * * *",
            "maintenance_daily": "0 2 * * *",
            "monthly_review_monthly": "0 0 * * 0#1",
        },
        "sensors": ["request_missed_windows", "watch_health"],
    }


def test_schedules_and_sensors_are_on_by_default(definitions: dg.Definitions):
    repository = definitions.get_repository_def()
    assert {each.default_status for each in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {each.default_status for each in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


def test_checks_by_asset(definitions: dg.Definitions):
    keys = {
        (key.asset_key.path[-1], key.name)
        for asset in definitions.resolve_asset_graph().assets_defs
        for key in asset.check_keys
    }
    assert keys == {
        ("backup_verification", "backup_is_recent"),
        ("backup_verification", "backup_is_proven"),
        ("backup_verification", "backup_is_verified"),
        ("backup_verification", "backup_size_is_usual"),
        ("backup_verification", "store_is_sound"),
        ("backup_verification", "nothing_is_put_aside"),
        ("backup_retention", "retention_is_sure"),
        ("backup_retention", "backups_are_wanted"),
        ("disaster_recovery_test", "drill_passed"),
        ("disaster_recovery_test", "objectives_met"),
        ("index_stats", "statistics_old_enough"),
        ("index_analysis", "no_invalid_indexes"),
        ("index_analysis", "bloat_below_threshold"),
        ("index_rebuild", "promised_gain_achieved"),
        ("index_rebuild", "no_leftovers"),
        ("statement_snapshot", "statements_are_tracked"),
        ("performance_analysis", "no_query_regressions"),
        ("performance_analysis", "no_slow_queries"),
        ("performance_baseline", "baseline_is_sound"),
        ("security_scan", "no_new_findings"),
        ("security_scan", "no_open_findings"),
        ("security_audit", "no_overdue_findings"),
        ("security_audit", "accepted_risks_hold"),
        ("health_checks", "critical_checks_healthy"),
        ("health_checks", "no_unhealthy_checks"),
        ("health_status", "critical_checks_healthy"),
        ("health_status", "no_unhealthy_checks"),
        ("table_stats", "wraparound_is_far"),
        ("table_stats", "statistics_are_current"),
        ("vacuum_plan", "nobody_holds_the_horizon"),
        ("database_optimization", "effect_is_proven"),
        ("statistics_update", "effect_is_proven"),
        ("full_database_maintenance", "nobody_holds_the_horizon"),
        ("full_database_maintenance", "effect_is_proven"),
        ("index_soundness", "indexes_are_sound"),
        ("partition_archive", "archives_are_kept"),
        ("partition_archive", "archives_are_proven"),
        ("partition_cleanup", "nothing_is_in_the_way"),
        ("partition_inventory", "default_partitions_are_empty"),
        ("partition_inventory", "partitions_are_visible"),
        ("upcoming_partitions", "partitions_ahead"),
    }


def test_a_weekly_rebuild_reads_the_daily_analyses_of_the_week_before_it(definitions: dg.Definitions):
    graph = definitions.resolve_asset_graph()
    rebuild, analysis = graph.get(asset_key("index_rebuild")), graph.get(asset_key("index_analysis"))
    mapping = graph.get_partition_mapping(rebuild.key, analysis.key)
    subset = rebuild.partitions_def.subset_with_partition_keys(["platform|2026-11-22"])
    read = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, rebuild.partitions_def, analysis.partitions_def
    ).partitions_subset.get_partition_keys()
    assert sorted(read) == [f"platform|2026-11-{day}" for day in range(15, 22)]


@pytest.mark.parametrize(
    ("asset", "upstream", "key", "read"),
    [
        ("performance_analysis", "performance_baseline", "2026-11-24", ["2026-11-01"]),
        (
            "performance_baseline",
            "statement_snapshot",
            "2026-11-01",
            [f"2026-10-{day:02}" for day in range(4, 32)],
        ),
    ],
)
def test_a_day_reads_the_baseline_of_its_month_and_that_the_days_before(
    definitions: dg.Definitions, asset: str, upstream: str, key: str, read: list[str]
):
    graph = definitions.resolve_asset_graph()
    node, source = graph.get(asset_key(asset)), graph.get(asset_key(upstream))
    subset = node.partitions_def.subset_with_partition_keys([f"platform|{key}"])
    mapped = graph.get_partition_mapping(
        node.key, source.key
    ).get_upstream_mapped_partitions_result_for_partitions(subset, node.partitions_def, source.partitions_def)
    assert sorted(mapped.partitions_subset.get_partition_keys()) == [f"platform|{day}" for day in read]


def test_a_calendar_with_mistakes_is_named(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(
        "version: 1\nslots:\n  nightly: {cadence: daily, time: '02:00', tasks: [index_polish]}\n"
    )
    (tmp_path / "herald.yaml").write_text(YAML + "calendar: mine.yaml\n")
    with pytest.raises(UsageError, match="index_polish"):
        build_definitions(Environment.load({}, tmp_path))
