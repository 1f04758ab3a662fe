create unique index users_email_idx on public.users (lower(email));
create index matches_region_played_at_idx on public.matches (region, played_at desc);

alter table public.match_participants
    add constraint match_participants_pkey primary key (match_id, played_at, slot),
    add constraint match_participants_match_fkey foreign key (match_id, played_at) references public.matches (id, played_at),
    add constraint match_participants_user_id_fkey foreign key (user_id) references public.users (id);
create index match_participants_user_id_idx on public.match_participants (user_id);
create index match_participants_performance_idx
    on public.match_participants (champion_id, performance_score desc) with (fillfactor = 70);
create index match_participants_champion_position_idx on public.match_participants (champion_id, team_position);
-- What grows in a database over the years: a prefix of another index, the same index again, one on a column with two
-- values, and one that no query uses.
create index match_participants_champion_id_idx on public.match_participants (champion_id);
create index match_participants_player_idx on public.match_participants (user_id);
create index match_participants_win_idx on public.match_participants (win);
create index match_participants_damage_dealt_idx on public.match_participants (damage_dealt);

create index match_events_match_id_idx on public.match_events (match_id, sequence);
create index match_events_occurred_at_idx on public.match_events using brin (occurred_at);
create index match_events_payload_idx on public.match_events using gin (payload jsonb_path_ops);

alter table public.user_sessions
    add constraint user_sessions_user_id_fkey foreign key (user_id) references public.users (id);
create unique index user_sessions_token_idx on public.user_sessions (token);
create index user_sessions_started_at_idx on public.user_sessions (started_at);
-- No query uses it, but deleting a user would read the whole table without it.
create index user_sessions_user_id_idx on public.user_sessions (user_id);

alter table public.player_ratings
    add constraint player_ratings_user_id_fkey foreign key (user_id) references public.users (id);
create index player_ratings_leaderboard_idx on public.player_ratings (queue, league_points desc);
