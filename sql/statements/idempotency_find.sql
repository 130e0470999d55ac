-- The row of a key, and whether the session that made it still lives.
-- $1 game id, $2 key
select i.request_hash, i.status, i.headers, i.body,
       exists (select from pg_catalog.pg_stat_get_activity(i.backend) a where a.backend_start = i.backend_at) as is_in_flight
from ladder.idempotency_key i
where i.game_id = $1::bigint
  and i.key = $2::bytea
