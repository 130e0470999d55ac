-- First step of closing: from here on no new submission is taken. A period that is made after its end, as an import of the past makes
-- them, stays open for the backfill grace from its making, unless it was said when it closes.
-- $1 grace in milliseconds, $2 backfill grace in seconds
update ladder.period p
set state = 'closing'
where p.state = 'open'
  and p.ends_at < 'infinity'
  and p.ends_at + $1::bigint * interval '1 millisecond' <= now()
  and case when p.close_at is not null then p.close_at <= now()
           else p.created_at < p.ends_at or p.created_at + $2::bigint * interval '1 second' <= now() end
