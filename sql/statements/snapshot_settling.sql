-- After snapshot_due, so that whoever drew one of its revisions has a transaction id below this one.
select pg_current_xact_id() as xmax
