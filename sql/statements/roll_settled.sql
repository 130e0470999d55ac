-- Has every transaction up to this one ended?
-- $1 xid
select pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 as is_settled
