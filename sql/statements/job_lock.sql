-- One runner of a job among all workers and cron; held until job_unlock or the end of the session.
-- $1 job
select pg_try_advisory_lock(hashtext('ladder.job'), hashtext($1::text)) as is_ours
