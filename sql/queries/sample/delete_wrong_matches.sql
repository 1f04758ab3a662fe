delete from public.matches
where region = 'pbe1' and played_at >= %(month)s and played_at < %(month_end)s
