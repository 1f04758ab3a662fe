select id, user_id, started_at from public.user_sessions where token = %(token)s
