-- Reads through the empty pages that the drained backlog has left in the index.
select id, puuid, kind from public.riot_sync_queue where status = 'pending' order by priority, enqueued_at limit 5
