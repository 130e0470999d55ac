-- Refreshes of more than 7 days ago, some at a time.
-- $1 limit
delete from ladder.refresh_run r
where r.id in (select q.id
               from ladder.refresh_run q
               where q.started_at < now() - interval '7 days'
               limit $1::int)
