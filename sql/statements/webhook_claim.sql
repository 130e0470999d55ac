-- Takes some messages that are due, one a game, for as long as a try can last: a worker that dies meanwhile leaves them to the next.
-- $1 milliseconds, $2 limit
with due as (
    select d.id
    from ladder.webhook_delivery d
    where d.next_at <= now()
      and not exists (select
                      from ladder.webhook_delivery q
                      where q.game_id = d.game_id
                        and q.next_at <= now()
                        and (q.next_at, q.id) < (d.next_at, d.id))
    order by d.next_at, d.id
    limit $2::int
    for update skip locked
),
claimed as (
    update ladder.webhook_delivery d
    set next_at = now() + $1::bigint * interval '1 millisecond', attempts = d.attempts + 1
    from due
    where d.id = due.id
    returning d.*
)
select c.id, c.message_id, g.name as game, w.url, encode(w.secret, 'hex') as secret, c.attempts
from claimed c
left join ladder.webhook w on w.game_id = c.game_id
join ladder.game g on g.id = c.game_id
order by c.created_at, c.id
