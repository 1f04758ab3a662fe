-- Waits for whoever reads the old ones, for lock_timeout at the longest.
select herald.drop_health_partitions(%(keep_months)s) as dropped
