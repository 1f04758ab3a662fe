select played.match_id, played.played_at, played.champion_id, played.win, match.queue_id, match.duration_seconds
from public.match_participants as played
join public.matches as match on match.id = played.match_id and match.played_at = played.played_at
where played.user_id = %(user_id)s
order by played.played_at desc
limit 20
