select id, game_name, tag_line, summoner_level from public.users where puuid = %(puuid)s
