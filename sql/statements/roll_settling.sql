-- Second step, when the first has committed: notes for each closing period the transaction id below which all are that may
-- have seen it open. One from the future is of another history: this is a restored dump.
update ladder.period p
set settle_xid = pg_current_xact_id()
where p.state = 'closing'
  and (p.settle_xid is null or p.settle_xid > pg_snapshot_xmax(pg_current_snapshot()))
