-- Rows of a table by its pages: those that the visibility map calls all-visible are not read. pgstattuple's schema is
-- on the session's search_path.
select approx_tuple_count as live_rows, dead_tuple_count as dead_rows
from pgstattuple_approx(%(table_oid)s::oid::regclass)
