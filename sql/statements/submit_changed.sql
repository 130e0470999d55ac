-- Of some boards, those with events that became visible after a batch looked last, without the batch's own. On the primary: a
-- standby's snapshots lack the running xids. No transaction that was running is a day old.
-- $1 what ladder.submit noted, $2 boards
select distinct v.board_id
from ladder.score_event v
where v.period_ids is not null
  and v.submitted_at between now() - interval '1 day' and now()
  and (v.xid = any (array(select pg_snapshot_xip(split_part($1::text, ' ', 1)::pg_snapshot)))
       or v.xid >= pg_snapshot_xmax(split_part($1::text, ' ', 1)::pg_snapshot))
  and v.xid <> split_part($1::text, ' ', 2)::xid8
  and v.board_id + 0 = any ($2::bigint[]) -- by xid, not by all that was ever submitted to the board
