"""A database of matches as the Riot API tells them: mostly JSON with many keys, few of which vary much.

As `json` they are kept as they came; as `jsonb` a dump takes several times as long, since each is written anew.
"""

from herald_pipelines.resources.postgres import Postgres

BYTES_A_MATCH = 9_500
"""Of the text of a dump."""
_BATCH = 2_000

_PARTICIPANT = """jsonb_build_object(
    'puuid', md5((random() * 200000)::int::text), 'riotIdGameName', 'Summoner' || (random() * 200000)::int,
    'championId', champion, 'championName', 'Champion' || champion, 'champLevel', 8 + (random() * 10)::int,
    'kills', floor(-4 * ln(random())), 'deaths', floor(-4 * ln(random())), 'assists', floor(-6 * ln(random())),
    'goldEarned', 100 * (40 + (random() * 120)::int), 'win', team = 100, 'teamId', team,
    'teamPosition', (array['TOP','JUNGLE','MIDDLE','BOTTOM','UTILITY'])[1 + i %% 5],
    'item0', 3000 + (random() ^ 3 * 160)::int, 'item1', 3000 + (random() ^ 3 * 160)::int,
    'item2', 3000 + (random() ^ 3 * 160)::int,
    'item6', 3340, 'summoner1Id', 4, 'summoner2Id', (array[7, 11, 12, 14])[1 + (random() * 3)::int],
    'visionScore', (random() * 60)::int, 'doubleKills', floor(-0.7 * ln(random())), 'tripleKills', 0, 'quadraKills', 0,
    'pentaKills', 0, 'unrealKills', 0, 'largestKillingSpree', (random() * 5)::int, 'detectorWardsPlaced', 0,
    'damageSelfMitigated', 500 * (random() * 80)::int, 'totalDamageDealtToChampions', 250 * (20 + (random() * 140)::int),
    'timeCCingOthers', (random() * 40)::int, 'bountyLevel', 0, 'consumablesPurchased', 2, 'eligibleForProgression', true,
    'firstBloodKill', false, 'firstTowerKill', false, 'gameEndedInSurrender', false, 'individualPosition', 'Invalid',
    'nexusLost', 0, 'objectivesStolen', 0, 'onMyWayPings', 0, 'playerAugment1', 0, 'playerAugment2', 0, 'profileIcon', 29,
    'teamEarlySurrendered', false, 'totalHeal', 100 * (random() * 90)::int, 'wardsKilled', (random() * 6)::int)"""
_FILL = f"""
    insert into matches (id, played_at, payload)
    select n, timestamptz '2025-01-01 00:00+00' + n * interval '37 seconds', jsonb_build_object(
        'metadata', jsonb_build_object('matchId', 'EUW1_' || (6000000000 + n), 'dataVersion', '2'),
        'info', jsonb_build_object('gameDuration', 900 + (random() * 1800)::int, 'queueId', 420, 'gameMode', 'CLASSIC',
            'gameVersion', '14.' || (n / 20000) || '.556.8912', 'participants', participants))
    from generate_series(%(first)s, %(last)s) as n
    cross join lateral (
        select jsonb_agg({_PARTICIPANT}) as participants
        from (select i, case when i < 5 then 100 else 200 end as team, (random() ^ 2 * 160)::int as champion
            from generate_series(0, 9 + 0 * n) as i) as p
    ) as m"""


def fill_matches(writer: Postgres, megabytes: int, column_type: str) -> int:
    """Make about so many megabytes of dump, with the indexes that such a table has; returns the number of matches."""
    matches = megabytes * 1_000_000 // BYTES_A_MATCH
    with writer.session(autocommit=True) as session:
        session.execute("set search_path = public")
        session.execute(
            "create table matches (id bigint primary key, played_at timestamptz not null,"
            f" payload {column_type} not null)"
        )
        for first in range(1, matches + 1, _BATCH):
            session.execute(_FILL, {"first": first, "last": min(first + _BATCH - 1, matches)})
        session.execute(
            "create table players as select md5(n::text) as puuid, n as elo, now() as seen_at,"
            " 'player' || n || '@example.net' as email from generate_series(1, 200000) as n"
        )
        session.execute("alter table players add primary key (puuid)")
        session.execute("create index on matches (played_at)")
        session.execute("create index on matches ((payload -> 'metadata' ->> 'matchId'))")
        session.execute("create index on players (email)")
        session.execute("vacuum (analyze)")
        session.execute("checkpoint")
    return matches
