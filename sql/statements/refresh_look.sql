-- One view, looked at with its lock: has a board changed, and is the last refresh long enough ago?
-- $1 view, $2 milliseconds; null: as long as the view's own interval and its cost want, and not too soon after a failure
select q.is_dirty,
       case when $2::bigint is null then q.is_due or not q.is_dirty else r.refreshed_at <= now() - $2::bigint * interval '1 millisecond' end as is_old
from ladder.refresh_state r
cross join lateral ladder.refresh_pending(r) q
where r.view = $1::text
