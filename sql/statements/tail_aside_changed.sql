-- The standings that a board's events since a snapshot name: what tail_aside lists, for a board whose rows in ladder.period can't be read.
-- $1 board, $2 snapshot, $3 oldest submission to look at
select distinct unnest(v.period_ids) as id, b.game_id
from ladder.score_event v
join ladder.board b on b.id = v.board_id
where v.board_id = $1::bigint
  and v.submitted_at >= $3::timestamptz
  and (v.xid = any (array(select pg_snapshot_xip($2::pg_snapshot))) or v.xid >= pg_snapshot_xmax($2::pg_snapshot))
