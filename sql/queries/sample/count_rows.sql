-- Exact, and cheap beside the making.
select 'match_events' as table_name, count(*) as rows from public.match_events
union all
select 'match_participants' as table_name, count(*) as rows from public.match_participants
union all
select 'matches' as table_name, count(*) as rows from public.matches
union all
select 'player_ratings' as table_name, count(*) as rows from public.player_ratings
union all
select 'riot_sync_queue' as table_name, count(*) as rows from public.riot_sync_queue
union all
select 'seasons' as table_name, count(*) as rows from public.seasons
union all
select 'tickets' as table_name, count(*) as rows from public.tickets
union all
select 'user_sessions' as table_name, count(*) as rows from public.user_sessions
union all
select 'users' as table_name, count(*) as rows from public.users
