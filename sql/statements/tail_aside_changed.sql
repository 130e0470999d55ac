-- The same where a board's periods can't be read: the standings that its events since a snapshot name.
-- $1 board, $2 snapshot, $3 oldest submission to look at
with told as (
    insert into ladder.edge_purge (game, board)
    select g.name, b.name
    from ladder.board b
    join ladder.game g on g.id = b.game_id
    where b.id = $1::bigint
      and b.edge_max_age_s > 0
      and b.is_public
)
select distinct unnest(v.period_ids) as id, b.game_id
from ladder.score_event v
join ladder.board b on b.id = v.board_id
where v.board_id = $1::bigint
  and v.submitted_at >= $3::timestamptz
  and (v.xid = any (array(select pg_snapshot_xip($2::pg_snapshot))) or v.xid >= pg_snapshot_xmax($2::pg_snapshot))
