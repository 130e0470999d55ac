-- Webhook messages of a deleted game, some at a time.
-- $1 game, $2 limit
delete from ladder.webhook_delivery d
where d.id in (select w.id
               from ladder.webhook_delivery w
               where w.game_id = $1::bigint
               limit $2::int)
