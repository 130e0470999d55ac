-- Frees a game's name, once it has no board: a row if it did.
-- $1 game id
update ladder.game g
set name = '~' || g.id, deleted_at = now()
where g.id = $1::bigint
  and g.deleted_at is null
  and not exists (select from ladder.board b where b.game_id = g.id and b.deleted_at is null)
returning g.id
