-- $1 job
insert into ladder.job_run (job)
values ($1::text)
returning id
