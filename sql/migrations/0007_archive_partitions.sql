-- Archives of partitions are kept beside the backups. Runs as herald_owner.

alter table herald.backup drop constraint backup_kind_known;
alter table herald.backup add constraint backup_kind_known
    check (kind in ('database', 'application', 'configuration', 'partition'));
comment on column herald.backup.kind is 'database, application, configuration or partition.';

-- What the ledger proves of a partition is looked up by its oid.
create index maintenance_log_partitions on herald.maintenance_log (database, object_oid, id)
    where task in ('partition_archive', 'partition_cleanup', 'partition_restore') and object_name is not null;
