-- One view, looked at with its lock: has a board changed, and is the last refresh long enough ago?
-- $1 view, $2 milliseconds; null: as long as the view's own interval, and not too soon after a failure
select r.done_v = 0 or exists (select from ladder.refresh_changed(r.view, r.done_v)) as is_dirty,
       r.refreshed_at <= now() - coalesce($2::bigint, r.interval_ms) * interval '1 millisecond'
           and ($2::bigint is not null or r.not_before <= now()) as is_old
from ladder.refresh_state r
where r.view = $1::text
