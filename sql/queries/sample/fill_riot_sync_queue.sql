insert into public.riot_sync_queue (puuid, kind, priority, enqueued_at)
select
    md5(%(seed)s || ':puuid:' || (1 + pg_temp.roll(n, 61, %(users)s)))::uuid,
    (array['match_history', 'match_history', 'summoner', 'league_entries', 'champion_mastery'])[1 + pg_temp.roll(n, 62, 5)],
    pg_temp.roll(n, 63, 4)::smallint,
    %(day)s::timestamptz - make_interval(secs => 86400.0 * (%(jobs)s - n) / %(jobs)s)
from generate_series(1, %(jobs)s::bigint) as n
