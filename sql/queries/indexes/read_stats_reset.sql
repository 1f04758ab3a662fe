-- Since when this database's counters count; null when they were never reset.
select stats_reset as stats_reset_at
  from pg_stat_database
 where datname = current_database()
