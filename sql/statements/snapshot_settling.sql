-- After snapshot_due, so that whoever drew one of its revisions has a transaction id below this one.
select pg_snapshot_xmax(pg_current_snapshot()) as xmax
