-- First step of closing: from here on no new submission is taken. A period that an import of the past made gets ten
-- minutes from its making.
-- $1 grace in milliseconds
update ladder.period p
set state = 'closing'
where p.state = 'open'
  and p.ends_at < 'infinity'
  and p.ends_at + $1::bigint * interval '1 millisecond' <= now()
  and (p.created_at < p.ends_at or p.created_at + interval '10 minutes' <= now())
