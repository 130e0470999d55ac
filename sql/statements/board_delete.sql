-- $1 board id
update ladder.board b
set deleted_at = now()
where b.id = $1::bigint
  and b.deleted_at is null
returning b.id
