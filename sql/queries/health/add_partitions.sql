-- A partition for each month that has results, whatever clock they were taken by, and for this month and the two after it.
select month, herald.add_health_partition(month) as added
from (
    select date_trunc('month', at, 'UTC') as month
    from jsonb_to_recordset(%(rows)s::jsonb) as row_ (at timestamptz)
    union
    select date_trunc('month', now(), 'UTC') + make_interval(months => ahead)
    from generate_series(0, 2) as ahead
) as wanted
order by month
