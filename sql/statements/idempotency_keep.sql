-- Adds the answer, before it is sent; unless there is one already.
-- $1 game id, $2 key, $3 status, $4 headers, $5 body
update ladder.idempotency_key i
set status = $3::smallint, headers = $4::text, body = $5::bytea
where i.game_id = $1::bigint
  and i.key = $2::bytea
  and i.status is null
returning i.status
