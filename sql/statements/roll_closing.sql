-- First step of closing: from here on no new submission is taken.
-- $1 periods
update ladder.period p
set state = 'closing'
where p.id = any ($1::bigint[])
  and p.state = 'open'
