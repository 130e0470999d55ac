-- Idempotency keys of a deleted game, some at a time.
-- $1 game, $2 limit
delete from ladder.idempotency_key i
where (i.game_id, i.key) in (select k.game_id, k.key
                             from ladder.idempotency_key k
                             where k.game_id = $1::bigint
                             limit $2::int)
