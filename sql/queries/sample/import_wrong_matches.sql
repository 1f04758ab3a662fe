-- An import that went wrong: one month once more, under other ids.
insert into public.matches
    (id, riot_match_id, region, queue_id, patch, duration_seconds, winning_team, played_at)
select
    %(matches)s + n,
    'PBE1_' || (9000000000 + pg_temp.roll(n, 81, 1000000000) * 1000 + n %% 1000),
    'pbe1',
    0::smallint,
    'test',
    0,
    100::smallint,
    %(month)s::timestamptz + make_interval(secs => pg_temp.roll(n, 82, 28 * 86400))
from generate_series(1, %(wrong_matches)s::bigint) as n
on conflict do nothing
