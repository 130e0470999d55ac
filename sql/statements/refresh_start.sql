-- The row of a refresh. Whoever holds the view's lock is its only refresher: a row without an end is of one that died.
-- $1 view, $2 reason, $3 runner
with died as (
    update ladder.refresh_run r
    set ended_at = now(), error = 'the runner died'
    where r.view = $1::text
      and r.ended_at is null
)
insert into ladder.refresh_run (view, reason, runner)
values ($1::text, $2::text, $3::text)
returning id
