-- The views, and which are to be refreshed: a board changed, and the last refresh, or failure, is long enough ago.
select r.view,
       (r.done_v = 0 or exists (select from ladder.refresh_changed(r.view, r.done_v)))
           and r.refreshed_at <= now() - r.interval_ms * interval '1 millisecond' and r.not_before <= now() as is_due
from ladder.refresh_state r
order by r.view
