-- Have all of them ended?
-- $1 transaction id
select pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 as is_settled
