insert into public.user_sessions (id, user_id, token, user_agent, ip, started_at)
select
    n,
    1 + pg_temp.roll(n, 41, %(users)s) * pg_temp.roll(n, 41, %(users)s) / %(users)s,
    md5(%(seed)s || ':session:' || n)::uuid,
    (array['HeraldWeb/4.2 (Windows)', 'HeraldWeb/4.2 (macOS)', 'HeraldMobile/2.8 (Android)', 'HeraldMobile/2.8 (iOS)'])[
        1 + pg_temp.roll(n, 42, 4)
    ],
    '198.51.0.0'::inet + pg_temp.roll(n, 43, 65536),
    %(day)s::timestamptz - make_interval(secs => 90 * 86400 * (%(sessions)s - n) / %(sessions)s)
from generate_series(1, %(sessions)s::bigint) as n
