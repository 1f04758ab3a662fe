"""One window of every task on a database, with the least roles, on the versions that no other test of CI meets."""

from typing import Any

import pytest
import yaml
from bank import Bank, execute

from herald_pipelines.registry import TASKS

TABLES = """
create table bank.matches (id bigint, played_at timestamptz not null, primary key (id, played_at))
  partition by range (played_at);
create table bank.matches_2024_01 partition of bank.matches for values from ('2024-01-01Z') to ('2024-02-01Z');
create table bank.matches_2024_02 partition of bank.matches for values from ('2024-02-01Z') to ('2024-03-01Z');
create table bank.matches_rest partition of bank.matches default;
insert into bank.matches select n, timestamptz '2024-01-05Z' + n * interval '1 minute' from generate_series(1, 500) n;
alter table bank.matches owner to bank_owner;
alter table bank.matches_2024_01 owner to bank_owner;
alter table bank.matches_2024_02 owner to bank_owner;
alter table bank.matches_rest owner to bank_owner;
create extension pg_stat_statements;
create extension amcheck schema public;
grant execute on function bt_index_check(regclass, boolean) to herald_observe;
grant bank_owner to herald_maintain;
grant insert on bank.matches to public;
"""
ORDER = (
    "security_scans", "performance_analysis", "health_checks", "database_optimization", "statistics_update", "index_analysis",
    "index_rebuild", "partition_inventory", "upcoming_partitions", "partition_archive", "partition_cleanup",
    "full_database_maintenance", "performance_baseline_update", "comprehensive_security_audit",
)  # fmt: skip
"""Without archives and backups, whose programs these servers' builds lack."""


@pytest.mark.parametrize("server", ["pg14", "pg16", "pg17"], indirect=True)
def test_every_task_on_a_database(bank: Bank) -> None:
    assert set(ORDER) <= TASKS.keys()
    execute(bank.url, TABLES)
    rules = {"keep": "365 days", "premake": 2, "grace_days": 0, "archive": False}
    document: dict[str, Any] = {
        "version": 1,
        "ops": {"url": {"env": "OPS_URL"}},
        "databases": {
            "bank": {
                "url": {"observe": {"env": "BANK_OBSERVE"}, "maintain": {"env": "BANK_MAINTAIN"}},
                "mode": "apply",
                "partitions": {"bank.matches": rules},
            }
        },
    }
    (bank.home / "herald.yaml").write_text(yaml.safe_dump(document))
    bank.migrate()
    before, _ = bank.size_and_file("bank.pgbench_accounts_pkey")
    execute(bank.url, "update bank.pgbench_accounts set bid = 0")
    found: dict[str, dict[str, Any]] = {}
    for task in ORDER:
        outcome = bank.run(task)
        assert outcome.exit_code == 0, outcome.document
        (found[task],) = outcome.document["databases"]
        assert found[task]["outcome"] == "done"
    assert bank.size_and_file("bank.pgbench_accounts_pkey")[0] < before / 2
    partitions = "select inhrelid::regclass::text from pg_inherits where inhparent = 'bank.matches'::regclass"
    left = {name for (name,) in execute(bank.url, partitions)}
    assert "bank.matches_rest" in left
    assert len(left) >= 3
    assert not any("2024" in name for name in left)
    assert execute(bank.url, "select to_regclass('bank.matches_2024_01'), count(*) from bank.matches") == [
        (None, 0)
    ]
    assert found["full_database_maintenance"]["summary"]["btrees_checked"] > 2
    assert found["full_database_maintenance"]["summary"]["btrees_unsound"] == 0
    ops = bank.environ["OPS_URL"]
    effects = "select max(dead_rows_before), min(dead_rows_after) from herald.vacuum_effects"
    assert execute(ops, f"{effects} where table_name = 'bank.pgbench_accounts'") == [(6000, 0)]
    assert execute(ops, "select count(*) > 0 from herald.query_history") == [(True,)]
    findings = execute(ops, "select finding from herald.open_findings where finding like '%bank.matches%'")
    assert len(findings) == 1
