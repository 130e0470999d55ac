-- Not taken: tried again after 5 s, then after four times as long each time, a fifth more or less so that many do not come at
-- once. What else waits for the same game waits as long: its server is down for all. Past the limit it is given up.
-- $1 delivery, $2 error, $3 longest pause in seconds, $4 hours until it is given up
with failed as (
    update ladder.webhook_delivery d
    set last_error = $2::text,
        next_at = case when d.created_at + $4::int * interval '1 hour' > now() then
                      now() + least(5 * 4 ^ least(d.attempts - 1, 12), $3::int) * (0.8 + 0.4 * random()) * interval '1 second'
                  end
    where d.id = $1::bigint
    returning d.id, d.game_id, d.next_at
),
others as (
    update ladder.webhook_delivery d
    set next_at = failed.next_at
    from failed
    where d.game_id = failed.game_id
      and d.id <> failed.id
      and d.next_at < failed.next_at
      and d.id not in (select q.id from ladder.webhook_delivery q
                       where q.game_id = failed.game_id and q.attempts > 0 and q.next_at > now())
)
select failed.next_at is null as is_given_up
from failed
