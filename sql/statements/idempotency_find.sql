-- $1 game id, $2 key
select i.request_hash, i.status, i.headers, i.body, ladder.us_of(now()) - ladder.us_of(i.created_at) as age_us
from ladder.idempotency_key i
where i.game_id = $1::bigint
  and i.key = $2::bytea
