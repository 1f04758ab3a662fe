-- The newest backup of a database, and how long the database is known here: null where it was never maintained.
select
    (
        select extract(epoch from now() - min(first_seen))::double precision
        from herald.target_database
        where database = %(database)s
    ) as known_seconds,
    (
        select min(newest_backup_age_hours) * 3600
        from herald.backup_health
        where kind = 'database' and database = %(database)s
    ) as backup_age_seconds,
    (
        select min(newest_proof_age_days) * 86400
        from herald.backup_health
        where kind = 'database' and database = %(database)s
    ) as proof_age_seconds
