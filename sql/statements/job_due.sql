-- Has nobody done it for so long?
-- $1 job, $2 milliseconds
select not exists (select
                   from ladder.job_run r
                   where r.job = $1::text
                     and r.started_at > now() - $2::bigint * interval '1 millisecond'
                     and r.ended_at is not null
                     and r.error is null) as is_due
