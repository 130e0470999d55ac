-- The closing periods of which it is not noted yet who may have seen them open. A number from the future is of another history: this is
-- a restored dump.
-- $1 limit
select p.id, p.board_id
from ladder.period p
where p.state = 'closing'
  and (p.settle_xid is null or p.settle_xid > pg_snapshot_xmax(pg_current_snapshot()))
  and not ladder.job_waits('close', p.board_id)
order by p.id
limit $1::int
