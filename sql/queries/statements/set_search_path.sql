-- Until the end of the transaction.
select set_config('search_path', %(path)s, true)
