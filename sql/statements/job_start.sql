-- The row of a run. Whoever holds the job's lock is its only runner: a row without an end is of one that died.
-- $1 job, $2 runner
with died as (
    update ladder.job_run r
    set ended_at = now(), error = 'the runner died'
    where r.job = $1::text
      and r.ended_at is null
)
insert into ladder.job_run (job, runner)
values ($1::text, $2::text)
returning id
