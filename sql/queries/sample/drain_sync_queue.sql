-- The backlog is done. The table shrinks when it is vacuumed; its indexes keep every page.
delete from public.riot_sync_queue
