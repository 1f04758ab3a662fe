select id, puuid, email, game_name, region from public.users where id = %(user_id)s
