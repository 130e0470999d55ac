-- Forgets a key whose write never happened.
-- $1 game id, $2 key
delete from ladder.idempotency_key i
where i.game_id = $1::bigint
  and i.key = $2::bytea
  and i.status is null
returning i.game_id
