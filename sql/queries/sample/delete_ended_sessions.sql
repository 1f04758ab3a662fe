-- Three sessions of four have ended, spread over every page of every index.
delete from public.user_sessions
where pg_temp.roll(id, 44, 4) <> 0
