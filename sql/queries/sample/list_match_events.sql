select sequence, event_type, payload, occurred_at
from public.match_events
where match_id = %(match_id)s
order by sequence
