select herald.keep_health_partitions(%(keep_months)s) as changed
