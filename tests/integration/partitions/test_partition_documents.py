"""The --json documents of partitions, made by real runs and compared with their contract."""

import json
from typing import Any

import pytest
from yard import Yard, execute

from contract_files import check_documents

SQL = """
create table public.matches (id bigint, played_at timestamptz not null) partition by range (played_at);
create table public.matches_2024_01 partition of public.matches for values from ('2024-01-01Z') to ('2024-02-01Z');
create table public.matches_rest partition of public.matches default;
insert into public.matches values (1, '2024-01-05Z');
create table public.regions (name text) partition by list (name);
create publication pub for table public.matches;
"""


@pytest.mark.parametrize("server", ["pg18"], indirect=True)
def test_documents_of_partitions(open_it) -> None:
    yard: Yard = open_it(SQL, rules={"public.matches": {"premake": 1, "grace_days": 0}})
    dagster = yard.server.create_database()
    documents: dict[str, list[Any]] = {}

    def run(*words: str, title: str | None = None, code: int = 0) -> None:
        done = yard.start_command(*words, "--json", HERALD_DAGSTER_URL=dagster)
        out, said = done.communicate(timeout=300)
        assert done.returncode == code, said
        documents.setdefault(title or f"herald {' '.join(words)}", []).append(json.loads(out))

    run("partitions", "plan")
    for task in ("partition_inventory", "upcoming_partitions", "partition_archive", "partition_cleanup"):
        title = f"herald run {task}"
        reachable, yard.url = yard.url, "postgresql://nobody@127.0.0.1:1/gone"
        run("run", task, "--database", "shop", "--dry-run", title=title, code=1)
        yard.url = reachable
        run("run", task, "--database", "shop", "--dry-run", title=title)
        run("run", task, "--database", "shop", title=title)
    run("partitions", "plan")
    title = "herald partitions restore"
    run("partitions", "restore", "matches_2024_01", title=title)
    execute(yard.url, "create table public.matches_2024_01 (id int)")
    run("partitions", "restore", "matches_2024_01", title=title, code=3)
    execute(yard.url, "drop table public.matches_2024_01")
    run("partitions", "restore", "matches_2024_01", "--yes", title=title)
    check_documents("documents.yaml", documents)
