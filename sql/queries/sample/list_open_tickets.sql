select id, subject, category, priority
from public.tickets
where status in ('open', 'in_progress')
order by created_at
