-- Periods that are closing, and the newest transaction that may have seen one of them open.
select count(*) as periods, pg_snapshot_xmax(pg_current_snapshot()) as xid
from ladder.period p
where p.state = 'closing'
