"""Plans of queries that somebody else wrote, by EXPLAIN (GENERIC_PLAN): planned, never executed. Not here: which queries.

The planner itself evaluates immutable and stable functions, so a text may run code of its authors with the rights of whoever
plans it. So no text is planned that could reach a function of somebody else's; and it is planned by the least role, in a
read-only transaction that is rolled back, under a short statement_timeout, and never by a superuser of a database that is not
ours. Between asking what a text could reach and planning it, somebody may exchange a view: that much stays.
"""

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from herald_pipelines.database.statements.texts import names_in, why_not_planned
from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.postgres import Session
from herald_pipelines.values import quote_identifier

FIRST_WITH_GENERIC_PLAN = 160000
PLAN_SECONDS = 5.0
"""statement_timeout of planning one text, and lock_timeout of its tables at a tenth."""


_OWN_SCHEMA = re.compile(r'"\$user"|(?<![\w"$])\$user(?![\w"$])')


@dataclass(frozen=True)
class Plan:
    """The plan of a query, or why there is none; one of the two."""

    text: str | None
    reason: str | None


def explain_queries(
    session: Session,
    texts: Mapping[int, str],
    users: Sequence[tuple[int, str | None]],
    *,
    is_ours: bool,
    deadline: float,
) -> dict[int, Plan]:
    """Plan queries one after the other; a query that cannot be planned has the reason, and the others go on.

    Args:
        session: of the least role, in autocommit.
        texts: as the server keeps them, by query id.
        users: the query ids in order, each with the role whose search_path names mean tables by.
        is_ours: whether the database is the embedded one, whose texts are ours.
        deadline: by time.monotonic(), after which no plan is asked for.

    Raises:
        HeraldError: the session was lost.
    """
    hindrance = _find_hindrance(session, is_ours=is_ours)
    plans: dict[int, Plan] = {}
    for query_id, user in users:
        text = texts.get(query_id)
        late = "the time of the task was used up" if time.monotonic() >= deadline else None
        reason = (
            late or hindrance or ("its text is not known any more" if text is None else why_not_planned(text))
        )
        if reason is not None or text is None:
            plans[query_id] = Plan(None, reason)
            continue
        try:
            plans[query_id] = _explain(session, text, user, is_ours=is_ours)
        except HeraldError as error:
            # What planning calls may fail as if a server had gone away: a foreign one, or by its own choice.
            if session.connection.closed:
                raise
            plans[query_id] = Plan(None, f"it cannot be planned: {error.message.partition(': ')[2]}")
    return plans


def _find_hindrance(session: Session, *, is_ours: bool) -> str | None:
    version: int = session.connection.server_version
    if version < FIRST_WITH_GENERIC_PLAN:
        return (
            f"PostgreSQL {version // 10000} plans no statement without its constants (16 and later do);"
            " auto_explain on the server logs plans as they run"
        )
    if not is_ours and session.fetch_one("statements/read_role")["is_superuser"]:
        return (
            "a superuser plans no text that others wrote: let url.observe be a role of its own"
            " (herald roles observe)"
        )
    return None


def _explain(session: Session, text: str, user: str | None, *, is_ours: bool) -> Plan:
    session.execute("begin transaction read only")
    try:
        session.execute(f"set local statement_timeout = {round(PLAN_SECONDS * 1000)}")
        session.execute(f"set local lock_timeout = {round(PLAN_SECONDS * 100)}")
        if not is_ours and (rows := session.fetch("statements/find_planned_function", names=names_in(text))):
            return Plan(None, f"planning it could run {rows[0]['name']}, which is not PostgreSQL's own")
        if user is not None:
            _use_search_path(session, user)
        # No parameters: the driver would read each per cent sign.
        rows = session.execute(f"explain (generic_plan) {text}")
        return Plan("\n".join(row["QUERY PLAN"] for row in rows), None)
    finally:
        # A session that is gone tells so by the error before.
        with suppress(HeraldError):
            session.execute("rollback")


def _use_search_path(session: Session, user: str) -> None:
    """Name tables as the role's own sessions do from their beginning."""
    found = session.fetch_one("statements/find_search_path", role=user)["search_path"]
    path = _OWN_SCHEMA.sub(lambda _: quote_identifier(user), found)
    session.fetch("statements/set_search_path", path=path)
