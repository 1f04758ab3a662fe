insert into public.seasons (id, name, span)
select
    year - 2000,
    'Season ' || year,
    tstzrange(make_timestamptz(year, 1, 8, 0, 0, 0, 'UTC'), make_timestamptz(year + 1, 1, 8, 0, 0, 0, 'UTC'))
from generate_series(extract(year from %(day)s::timestamptz)::integer - 3, extract(year from %(day)s::timestamptz)::integer) as year
