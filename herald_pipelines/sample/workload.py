"""The queries that the pages of the sample platform ask, some of them slow. They only read.

They leave what monitoring looks at: rows in pg_stat_statements, scans on the indexes that serve a purpose,
and none on the one that does not. Not here: judging any of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from herald_pipelines.resources.postgres import Postgres, Row

SLOW_EVERY = 5
"""One round of so many opens the slow pages too."""
LEAST_USERS = 1000  # of the smallest sample; low numbers play most
CHAMPIONS = 168


@dataclass(frozen=True)
class WorkloadReport:
    """What a workload did."""

    queries: int
    seconds: float


def run_workload(postgres: Postgres, *, rounds: int) -> WorkloadReport:
    """Open the platform's pages as so many players, one after another, in one session.

    Which players and champions is decided by the round's number alone.

    Raises:
        HeraldError: a query failed, as on a database without the sample.
    """
    started = time.monotonic()
    queries = 0
    with replace(postgres, task="sample_workload", read_only=True).session(autocommit=True) as session:

        def ask(query: str, **parameters: object) -> list[Row]:
            nonlocal queries
            queries += 1
            return session.fetch(query, **parameters)

        for number in range(rounds):
            _open_pages(ask, number)
            if number % SLOW_EVERY == 0:
                _open_slow_pages(ask, number)
    return WorkloadReport(queries, round(time.monotonic() - started, 3))


def _open_pages(ask: Callable[..., list[Row]], number: int) -> None:
    user_id = 1 + number * 37 % LEAST_USERS
    champion_id = 1 + number * 11 % CHAMPIONS
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
