insert into public.player_ratings (user_id, queue, tier, league_points, wins, losses)
select
    account.id,
    queue.name,
    (array['IRON', 'BRONZE', 'SILVER', 'SILVER', 'GOLD', 'GOLD', 'PLATINUM', 'EMERALD', 'DIAMOND', 'MASTER'])[
        1 + pg_temp.roll(account.id, 50 + queue.number, 10)
    ],
    pg_temp.roll(account.id, 52 + queue.number, 100000)::integer,
    pg_temp.roll(account.id, 54 + queue.number, 400)::integer,
    pg_temp.roll(account.id, 56 + queue.number, 400)::integer
from public.users as account
cross join (values (0, 'RANKED_SOLO_5x5'), (1, 'RANKED_FLEX_SR')) as queue (number, name)
order by account.id, queue.number
