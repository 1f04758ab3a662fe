"""The plan of a restore: what it says it does, and everything that it refuses before anything is touched."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import NOW, stored

from herald_pipelines.backup.facts import DatabaseFacts, TableFacts
from herald_pipelines.backup.restore_names import Mark, Stage, read_mark, stage_name, write_mark
from herald_pipelines.backup.restore_plan import RestorePlan, Selection, plan_database_restore
from herald_pipelines.backup.restore_refusals import Occupant, Refusal, Request, ServerFacts, SessionFacts
from herald_pipelines.errors import GuardRefusal

TABLE = TableFacts(schema_name="s", name="t", kind="r", is_unlogged=False, estimated_rows=1, size_bytes=1)
FACTS = DatabaseFacts(
    datname="shop",
    system_identifier="1",
    database_oid=5,
    server_version=160004,
    client_version="16.4",
    owner="owner",
    encoding="UTF8",
    collate="C",
    ctype="C",
    locale_provider="c",
    locale=None,
    icu_rules=None,
    connection_limit=-1,
    is_template=False,
    settings=(),
    acl=None,
    comment=None,
    size_bytes=1000,
    wal_position=None,
    is_in_recovery=False,
    extensions=(("plpgsql", "1.0"),),
    roles=("owner", "app"),
    tables=(TABLE,),
)
REQUEST = Request(
    manifest=stored(1).manifest.model_copy(update={"database": FACTS}),
    name="shop",
    selection=Selection(),
    source="file:///store",
    server="postgres on db1:5432",
    missing_parts=(),
    problems=(),
    tablespaces=(),
    free_work_bytes=10**9,
    work_folder="/work",
)
OCCUPANT = Occupant(
    oid=5,
    name="shop",
    owner="owner",
    may_own=True,
    allows_connections=True,
    is_template=False,
    comment=None,
    prepared=(),
    slots=(),
    subscriptions=(),
    sessions=(),
)
SERVER = ServerFacts(
    server_version=160004,
    system_identifier="1",
    is_standby=False,
    role="restorer",
    is_superuser=False,
    may_create_databases=True,
    may_create_roles=False,
    roles={"owner": True, "app": False, "restorer": True},
    tablespaces=frozenset(),
    extensions={"plpgsql": False},
    databases=frozenset({"shop", "postgres"}),
    occupant=OCCUPANT,
    free_bytes=10**9,
)
STUCK = SessionFacts(pid=7, role="boss", application="psql", is_superuser=True, may_end=False)


def plan(request: Request = REQUEST, server: ServerFacts = SERVER) -> RestorePlan:
    """Plan it now."""
    return plan_database_restore(request, server, NOW)


def test_what_can_be_done_is_said_in_steps() -> None:
    found = plan()

    found.require()
    assert found.kept_as == "shop_before_20261124_020000"
    assert found.steps[-2:] == (
        "close 'shop', end its sessions, and rename it to 'shop_before_20261124_020000'",
        "give the new database the name 'shop', in the same transaction",
    )
    assert found.document()["refusals"] == []


def test_where_there_is_no_database_nothing_is_kept() -> None:
    assert plan(server=replace(SERVER, occupant=None)).kept_as is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r, s: (replace(r, missing_parts=("dump",)), s), "the backup is broken: dump is missing"),
        (lambda r, s: (replace(r, problems=(Refusal("no key", "add it"),)), s), "no key"),
        (lambda r, s: (replace(r, free_work_bytes=1), s), "the work folder /work has 1 B free"),
        (lambda r, s: (r, replace(s, free_bytes=999)), "the server has 999 B free"),
        (lambda r, s: (r, replace(s, server_version=150007)), "runs PostgreSQL 15, older than the 16"),
        (lambda r, s: (r, replace(s, is_standby=True)), "the server is a standby"),
        (lambda r, s: (r, replace(s, may_create_databases=False)), "may not create databases"),
        (
            lambda r, s: (r, replace(s, roles={"owner": True})),
            "may not create the roles that are missing: app",
        ),
        (lambda r, s: (r, replace(s, roles={"owner": False, "app": True})), "may not act as owner"),
        (lambda r, s: (r, replace(s, extensions={})), "does not offer the extensions plpgsql"),
        (lambda r, s: (r, replace(s, extensions={"plpgsql": True})), "plpgsql take a superuser"),
        (lambda r, s: (r, occupied(s, may_own=False)), "may not rename the database 'shop'"),
        (lambda r, s: (r, occupied(s, prepared=("half",))), "the prepared transactions half"),
        (lambda r, s: (r, occupied(s, slots=("cdc",))), "the logical replication slots cdc"),
        (lambda r, s: (r, occupied(s, subscriptions=("feed",))), "the enabled subscriptions feed"),
        (lambda r, s: (r, occupied(s, sessions=(STUCK,))), r"pid 7 of boss \(psql\), a superuser"),
        (lambda r, s: (replace(r, selection=Selection(("s",))), s), "beside, never over one"),
        (
            lambda r, s: (replace(r, selection=Selection((), (("s", "x"),))), replace(s, occupant=None)),
            r"has no table s\.x",
        ),
        (lambda r, s: (replace(r, manifest=stored(1).manifest), s), "is a backup of"),
    ],
)
def test_what_stands_against_it_is_named(
    change: Callable[[Request, ServerFacts], tuple[Request, ServerFacts]], reason: str
) -> None:
    found = plan(*change(REQUEST, SERVER))

    assert len(found.refusals) == 1
    assert found.refusals[0].hint
    with pytest.raises(GuardRefusal, match=reason):
        found.require()


def occupied(server: ServerFacts, **changes: object) -> ServerFacts:
    """Return a server whose database differs."""
    assert server.occupant is not None
    return replace(server, occupant=replace(server.occupant, **changes))


def test_a_superuser_may_do_what_others_may_not() -> None:
    server = replace(SERVER, is_superuser=True, may_create_roles=True, extensions={"plpgsql": True}, roles={})

    assert plan(server=server).new_roles == ("owner", "app")
    assert plan(server=server).refusals == ()


def test_what_differs_and_does_not_hinder_is_noted() -> None:
    request = replace(REQUEST, tablespaces=("fast",))
    server = replace(
        occupied(SERVER, sessions=(replace(STUCK, may_end=True),)), server_version=180001, free_bytes=None
    )

    notes = " ".join(plan(request, server).notes)

    for part in (
        "tablespaces fast",
        "PostgreSQL 16 and goes to 18",
        "1 sessions in 'shop'",
        "cannot be seen from here",
    ):
        assert part in notes


@given(
    name=st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=63),
    stage=st.sampled_from(Stage),
    rounds=st.integers(1, 12),
)
def test_names_fit_and_are_free(name: str, stage: Stage, rounds: int) -> None:
    taken: list[str] = []
    for _ in range(rounds):
        made = stage_name(name, stage, "20261124_003005", taken)
        assert len(made.encode()) <= 63
        assert made not in taken
        assert f"_{stage}_20261124_003005" in made
        taken.append(made)


def test_a_mark_is_read_as_it_was_written() -> None:
    mark = Mark(
        restore="a1",
        name='od"d \n%s',
        stage=Stage.BEFORE,
        backup="b",
        host="h",
        at=NOW,
        comment="it's",
        fenced=7,
    )

    assert read_mark(write_mark(mark)) == mark
    assert read_mark("herald restore: nothing of ours") is None
