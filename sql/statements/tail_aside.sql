-- The standings of a board whose changes can't be read; edges that keep it are told that it changed.
-- $1 board
with told as (
    insert into ladder.edge_purge (game, board)
    select g.name, b.name
    from ladder.board b
    join ladder.game g on g.id = b.game_id
    where b.id = $1::bigint
      and b.edge_max_age_s > 0
      and b.is_public
)
select p.id, p.state <> 'open' as is_final
from ladder.period p
where p.board_id = $1::bigint
