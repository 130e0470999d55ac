-- The deleted game, with its keys and webhook, when it is empty.
-- $1 game
delete from ladder.game g
where g.id = $1::bigint
  and g.deleted_at is not null
  and not exists (select from ladder.board b where b.game_id = g.id)
