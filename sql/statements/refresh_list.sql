-- The views, and which are to be refreshed: a board changed, and the last refresh, or failure, is long enough ago.
select r.view, q.is_due
from ladder.refresh_state r
cross join lateral ladder.refresh_pending(r) q
order by r.view
