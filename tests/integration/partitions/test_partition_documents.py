"""The --json documents of partitions, made by real runs and compared with their contract."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from yard import Yard, execute

from contract_files import check_documents
from herald_pipelines import operations_runs
from herald_pipelines.cli_output import DOCUMENT_VERSION

SQL = """
create table public.matches (id bigint, played_at timestamptz not null) partition by range (played_at);
create table public.matches_2024_01 partition of public.matches for values from ('2024-01-01Z') to ('2024-02-01Z');
create table public.matches_rest partition of public.matches default;
insert into public.matches values (1, '2024-01-05Z');
create table public.regions (name text) partition by list (name);
create publication pub for table public.matches;
"""


@pytest.mark.parametrize("server", ["pg18"], indirect=True)
def test_documents_of_partitions(open_it, monkeypatch: pytest.MonkeyPatch) -> None:
    yard: Yard = open_it(SQL, rules={"public.matches": {"premake": 1, "grace_days": 0}})
    yard.dagster_url = yard.server.create_database()
    # The commands leave Dagster's variables in the process.
    for name in ("DAGSTER_HOME", "HERALD_HOME", "HERALD_DAGSTER_URL"):
        monkeypatch.setenv(name, "")
    documents: dict[str, list[Any]] = {}

    def keep(title: str, document: Mapping[str, Any]) -> None:
        printed = json.dumps({"version": DOCUMENT_VERSION, **document}, default=str)
        documents.setdefault(f"herald {title}", []).append(json.loads(printed))

    keep("partitions plan", yard.plan())
    for task in ("partition_inventory", "upcoming_partitions", "partition_archive", "partition_cleanup"):
        for dry_run in (True, False):
            found = operations_runs.run(
                yard.environ, yard.home, task=task, window=None, database="shop", dry_run=dry_run
            )
            assert found.exit_code == 0, found.document
            keep(f"run {task}", found.document)
    keep("partitions plan", yard.plan())
    execute(yard.url, "create table public.matches_2024_01 (id int)")
    for yes in (False, True):
        document, code = yard.restore("matches_2024_01", yes=yes)
        assert code == (0 if yes else 3)
        keep("partitions restore", document)
        if not yes:
            execute(yard.url, "drop table public.matches_2024_01")
    check_documents("documents.yaml", documents)
