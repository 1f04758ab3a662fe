-- Every 499th player has taken the name of the one before: the duplicates that a unique index fails on.
insert into public.users
    (id, puuid, game_name, tag_line, email, region, summoner_level, is_premium, created_at, last_seen_at)
select
    made.n,
    md5(%(seed)s || ':puuid:' || made.n)::uuid,
    named.adjective || named.noun || named.number,
    upper(made.region),
    lower(named.adjective) || '.' || lower(named.noun) || made.n || '@example.net',
    made.region,
    (30 + pg_temp.roll(made.n, 5, 570))::integer,
    pg_temp.roll(made.n, 6, 12) = 0,
    made.created_at,
    made.created_at + make_interval(secs => pg_temp.roll(made.n, 8, extract(epoch from %(day)s::timestamptz - made.created_at)::bigint))
from (
    select
        n,
        n - (n %% 499 = 0)::integer as name_key,
        (array['euw1', 'euw1', 'euw1', 'eun1', 'na1', 'na1', 'kr', 'kr', 'br1', 'jp1'])[
            1 + pg_temp.roll(n - (n %% 499 = 0)::integer, 1, 10)
        ] as region,
        %(day)s::timestamptz - make_interval(secs => 3600 + pg_temp.roll(n, 7, 3 * 365 * 86400)) as created_at
    from generate_series(1, %(users)s::bigint) as n
) as made
cross join lateral (
    select
        (array[
            'Ashen', 'Arcane', 'Bold', 'Crimson', 'Dire', 'Eager', 'Frozen', 'Gilded', 'Hollow', 'Iron', 'Jade', 'Keen',
            'Lunar', 'Mystic', 'Nimble', 'Obsidian', 'Pale', 'Quiet', 'Radiant', 'Silent', 'Tidal', 'Umbral', 'Vivid', 'Wild'
        ])[1 + pg_temp.roll(made.name_key, 2, 24)] as adjective,
        (array[
            'Fox', 'Wolf', 'Raven', 'Drake', 'Titan', 'Mage', 'Blade', 'Warden', 'Poro', 'Golem', 'Hunter', 'Sage',
            'Ranger', 'Knight', 'Shade', 'Storm', 'Ember', 'Thorn', 'Lynx', 'Viper', 'Oracle', 'Herald', 'Baron', 'Scuttle'
        ])[1 + pg_temp.roll(made.name_key, 3, 24)] as noun,
        pg_temp.roll(made.name_key, 4, 10000) as number
) as named
