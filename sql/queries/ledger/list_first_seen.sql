select database, min(first_seen) as first_seen from herald.target_database group by database
