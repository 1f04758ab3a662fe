-- What the rows of a table must be because it is a partition; null: it is none.
select pg_get_partition_constraintdef(%(oid)s::oid) as definition
