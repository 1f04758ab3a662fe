-- Whether this version's tables are there.
select from pg_class where oid = to_regclass('herald.health_state')
