-- The row of a key, and whether who made it may still be at work: its session lives, and it is not so long ago that its client
-- has given up. (The answer of one that lost its way to the database behind its commit was never kept, though its session lives.)
-- $1 game id, $2 key
select i.request_hash, i.status, i.headers, i.body,
       i.created_at > now() - interval '10 seconds' and
       exists (select from pg_catalog.pg_stat_get_activity(i.backend) a where a.backend_start = i.backend_at) as is_in_flight
from ladder.idempotency_key i
where i.game_id = $1::bigint
  and i.key = $2::bytea
