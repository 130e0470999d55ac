-- The end of a refresh, with what it cost. After a failure the view waits: its interval, doubled with each failure, an hour at most. Whoever was
-- stopped has not failed.
-- $1 id, $2 rows, $3 error, $4 milliseconds, $5 was it stopped
with ended as (
    update ladder.refresh_run r
    set ended_at = now(), rows = $2::bigint, error = $3::text, took_ms = $4::bigint
    where r.id = $1::bigint
    returning r.view, r.error
)
update ladder.refresh_state s
set fails = case when e.error is null then s.fails else s.fails + 1 end,
    not_before = case when e.error is null then s.not_before
                      else now() + least(3600000, greatest(1000, s.interval_ms) * (1 << least(s.fails, 12))) * interval '1 millisecond' end,
    took_ms = case when e.error is null then $4::bigint else s.took_ms end
from ended e
where s.view = e.view
  and (e.error is null or not $5::boolean)
