-- The row of a refresh, with the number of boards that made it due. Whoever holds the view's lock is its only refresher: a row without
-- an end is of one that died.
-- $1 view, $2 reason, $3 runner
with died as (
    update ladder.refresh_run r
    set ended_at = now(), error = 'the runner died'
    where r.view = $1::text
      and r.ended_at is null
)
insert into ladder.refresh_run (view, reason, runner, boards)
select $1::text, $2::text, $3::text, count(distinct c.board)
from ladder.refresh_state r
cross join lateral ladder.refresh_changed(r.view, r.done_v) c (board)
where r.view = $1::text
returning id, boards
