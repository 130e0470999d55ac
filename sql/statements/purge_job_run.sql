-- Runs of more than 30 days ago, some at a time.
-- $1 limit
delete from ladder.job_run r
where r.id in (select q.id
               from ladder.job_run q
               where q.started_at < now() - interval '30 days'
               limit $1::int)
