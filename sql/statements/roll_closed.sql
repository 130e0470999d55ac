-- Third step: every submission that was on its way has ended; the standing is final.
update ladder.period p
set state = 'closed', closed_at = now(), settle_xid = null
where p.state = 'closing'
  and p.settle_xid <= pg_snapshot_xmin(pg_current_snapshot())
returning p.id
