-- Messages that were delivered or given up a month ago.
-- $1 limit
delete from ladder.webhook_delivery d
where d.id in (select q.id
               from ladder.webhook_delivery q
               where q.next_at is null
                 and q.created_at < now() - interval '30 days'
               limit $1::int)
