select id, token from public.user_sessions order by started_at desc limit 20
