-- A pseudo-random number below `sides` that depends on nothing but its arguments and the seed: the order in which rows
-- are made does not matter, and a session's function leaves nothing behind.
create or replace function pg_temp.roll(n bigint, salt bigint, sides bigint) returns bigint
language sql immutable parallel safe
return abs(hashint8extended(n, %(seed)s::bigint + salt) %% sides)
