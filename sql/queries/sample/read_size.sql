-- Bytes of everything in the schema public: tables, indexes and TOAST.
select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint as size_bytes
from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace
