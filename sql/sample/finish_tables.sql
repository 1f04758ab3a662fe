select pg_catalog.setval('public.users_id_seq', (select max(id) from public.users));
select pg_catalog.setval('public.user_sessions_id_seq', (select max(id) from public.user_sessions));
alter table public.user_sessions reset (autovacuum_enabled);
alter table public.player_ratings reset (autovacuum_enabled);
alter table public.riot_sync_queue reset (autovacuum_enabled);
