-- Keys older than a day, some at a time.
-- $1 limit
delete from ladder.idempotency_key i
where (i.game_id, i.key) in (select k.game_id, k.key
                             from ladder.idempotency_key k
                             where k.created_at < now() - interval '24 hours'
                             limit $1::int)
