-- With amcheck's schema on the search_path. Looks whether each row of the table is in the index, too.
select bt_index_check(%(oid)s::oid::regclass, true) as checked
