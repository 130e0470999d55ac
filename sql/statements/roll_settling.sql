-- Second step, when the first has committed: notes for each closing period the transaction id below which all are that may
-- have seen it open.
-- $1 periods
update ladder.period p
set settle_xid = pg_current_xact_id()
where p.id = any ($1::bigint[])
  and p.state = 'closing'
  and (p.settle_xid is null or p.settle_xid > pg_snapshot_xmax(pg_current_snapshot()))
