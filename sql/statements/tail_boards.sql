-- The boards that have changes since a snapshot: by an index, whose entries alone are read.
-- $1 snapshot, $2 oldest submission to look at
select distinct v.board_id
from ladder.score_event v
where v.submitted_at >= $2::timestamptz
  and (v.xid = any (array(select pg_snapshot_xip($1::pg_snapshot))) or v.xid >= pg_snapshot_xmax($1::pg_snapshot))
order by v.board_id
