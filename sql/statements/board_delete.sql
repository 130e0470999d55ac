-- $1 board id, $2 only if it is of this version; null: whatever it is
with changed as (
    update ladder.board b
    set deleted_at = now()
    where b.id = $1::bigint
      and b.deleted_at is null
      and ($2::bigint is null or ladder.us_of(b.updated_at) = $2::bigint)
    returning b.id, b.game_id, b.name
),
told as (
    insert into ladder.edge_purge (game, board)
    select g.name, changed.name
    from changed
    join ladder.game g on g.id = changed.game_id
),
marked as (
    insert into ladder.refresh_mark (input, board_id)
    select 'deleted', changed.id
    from changed
)
select changed.id
from changed
