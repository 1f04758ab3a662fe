select count(*) as events from public.match_events where payload @> %(payload)s::jsonb
