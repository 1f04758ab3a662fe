select id, is_premium, last_seen_at from public.users where lower(email) = lower(%(email)s)
