-- The views, and which are to be refreshed: something changed, and the last refresh, or failure, is long enough ago.
select r.view,
       s.source_v <> r.done_v and r.refreshed_at <= now() - r.interval_ms * interval '1 millisecond' and r.not_before <= now() as is_due
from ladder.refresh_state r
join ladder.refresh_source s on s.view = r.view
order by r.view
