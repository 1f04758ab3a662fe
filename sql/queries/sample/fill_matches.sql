-- Spread evenly from the first partition's start to the day, so that ids grow with time as they do in production.
insert into public.matches
    (id, riot_match_id, region, queue_id, patch, duration_seconds, winning_team, played_at)
select
    made.n,
    upper(made.region) || '_' || (7000000000 + made.n),
    made.region,
    (array[420, 420, 420, 440, 450])[1 + pg_temp.roll(made.n, 12, 5)],
    to_char(made.played_at, 'YY') || '.' || (extract(doy from made.played_at)::integer / 14 + 1),
    (900 + pg_temp.roll(made.n, 13, 1800))::integer,
    (100 + 100 * pg_temp.roll(made.n, 14, 2))::smallint,
    made.played_at
from (
    select
        n,
        (array['euw1', 'euw1', 'euw1', 'eun1', 'na1', 'na1', 'kr', 'kr', 'br1', 'jp1'])[
            1 + pg_temp.roll(n, 11, 10)
        ] as region,
        %(since)s::timestamptz
            + make_interval(secs => extract(epoch from %(day)s::timestamptz - %(since)s::timestamptz)::bigint * (n - 1) / %(matches)s)
            as played_at
    from generate_series(1, %(matches)s::bigint) as n
) as made
