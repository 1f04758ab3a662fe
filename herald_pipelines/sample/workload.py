"""The queries that the pages of the sample platform ask, some of them slow. They only read.

They leave what monitoring looks at: rows in pg_stat_statements, scans on the indexes that serve a purpose,
and none on the one that does not. Some are asked when the sample is made; run as a program, in the home that
HERALD_HOME names, this asks on until it is ended: a few statements a second. Not here: judging any of it.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from herald_pipelines.errors import HeraldError
from herald_pipelines.resources.embedded import EmbeddedServer
from herald_pipelines.resources.postgres import Postgres, Row
from herald_pipelines.sample.shape import SEED
from herald_pipelines.settings import SAMPLE

SLOW_EVERY = 5
"""One round of so many opens the slow pages too."""
LEAST_USERS = 1000  # of the smallest sample; low numbers play most
CHAMPIONS = 168
PAUSE_SECONDS = 0.4
LARGEST_SHARE = 0.01
"""Of the time, that a workload with pauses waits for answers, however slow they are."""
STATEMENT_SECONDS = 3600.0
LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class WorkloadReport:
    """What a workload did."""

    queries: int
    busy_seconds: float
    """Waiting for answers."""
    seconds: float
    """Pauses included."""


def run_workload(
    postgres: Postgres, *, rounds: Iterable[int], seed: int = SEED, pause_seconds: float = 0.0
) -> WorkloadReport:
    """Open the platform's pages as one player after another, in one session.

    Args:
        postgres: the sample's database.
        rounds: their numbers, which decide with the seed on players and champions.
        seed: the sample's.
        pause_seconds: wait so long after each statement, and longer after a slow one; 0 waits for nothing.

    Raises:
        HeraldError: a query failed, as on a database without the sample.
    """
    started = time.monotonic()
    queries, busy_seconds = 0, 0.0
    with replace(postgres, task="sample_workload", read_only=True).session(autocommit=True) as session:

        def ask(query: str, **parameters: object) -> list[Row]:
            nonlocal queries, busy_seconds
            began = time.monotonic()
            rows = session.fetch(query, **parameters)
            seconds = time.monotonic() - began
            queries += 1
            busy_seconds += seconds
            if pause_seconds:
                time.sleep(max(pause_seconds, seconds / LARGEST_SHARE))
            return rows

        for number in rounds:
            _open_pages(
                ask,
                user_id=1 + (seed + number * 37) % LEAST_USERS,
                champion_id=1 + (seed + number * 11) % CHAMPIONS,
            )
            if number % SLOW_EVERY == 0:
                _open_slow_pages(ask, number)
    return WorkloadReport(queries, busy_seconds, time.monotonic() - started)


def _open_pages(ask: Callable[..., list[Row]], *, user_id: int, champion_id: int) -> None:
    player = ask("sample/read_player", user_id=user_id)[0]
    ask("sample/find_player_by_puuid", puuid=player["puuid"])
    ask("sample/find_player_by_email", email=player["email"])
    ask("sample/read_rating", user_id=user_id, queue="RANKED_SOLO_5x5")
    for match in ask("sample/list_match_history", user_id=user_id)[:3]:
        ask("sample/list_match_events", match_id=match["match_id"])
    for match in ask("sample/list_recent_matches", region=player["region"])[:2]:
        ask("sample/read_match", riot_match_id=match["riot_match_id"])
    ask("sample/list_best_games", champion_id=champion_id)
    ask("sample/count_champion_position", champion_id=champion_id, team_position="MIDDLE")
    ask("sample/read_leaderboard", queue="RANKED_SOLO_5x5")
    for session in ask("sample/list_recent_sessions")[:1]:
        ask("sample/find_session", token=session["token"])
    ask("sample/peek_sync_queue")
    ask("sample/list_open_tickets")


def _open_slow_pages(ask: Callable[..., list[Row]], number: int) -> None:
    fragments = ("fox", "raven", "herald", "baron")
    ask("sample/summarize_champions")
    ask("sample/search_players", fragment=fragments[number // SLOW_EVERY % len(fragments)])
    ask("sample/count_wins")
    ask("sample/count_events", payload='{"type": "ELITE_MONSTER_KILL", "slot": 3}')


def main() -> None:
    """Play the sample platform of HERALD_HOME until this process is ended; exit 1 when its database goes away."""
    try:
        url = EmbeddedServer(Path(os.environ["HERALD_HOME"])).url(SAMPLE)
        postgres = Postgres(
            url, SAMPLE, statement_timeout_seconds=STATEMENT_SECONDS, lock_timeout_seconds=LOCK_SECONDS
        )
        run_workload(postgres, rounds=count(), pause_seconds=PAUSE_SECONDS)
    except HeraldError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
