-- The periods that have ended, and their boards. A period that is made after its end, as an import of the past makes them, stays open
-- for the backfill grace from its making, unless it was said when it closes.
-- $1 grace in milliseconds, $2 backfill grace in seconds, $3 limit
select p.id, p.board_id
from ladder.period p
where p.state = 'open'
  and p.ends_at < 'infinity'
  and p.ends_at <= now() - $1::bigint * interval '1 millisecond'
  and case when p.close_at is not null then p.close_at <= now()
           else p.created_at < p.ends_at or p.created_at + $2::bigint * interval '1 second' <= now() end
  and not ladder.job_waits('close', p.board_id)
order by p.ends_at
limit $3::int
