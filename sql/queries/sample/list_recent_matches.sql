select id, riot_match_id, played_at
from public.matches
where region = %(region)s
order by played_at desc
limit 20
