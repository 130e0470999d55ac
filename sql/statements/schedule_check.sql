-- Do schedules make sense? Each in its order: 0 yes; of `opens` and of `closes`, 1 it is no cron expression, 2 it never comes.
-- $1 schedules as board.schedules has them, $2 time zone
select case when o.minutes is null then 1 when ladder.cron_near(x.opens, $2::text, now(), false) is null then 2 else 0 end as opens,
       case when c.minutes is null then 1 when ladder.cron_near(x.closes, $2::text, now(), false) is null then 2 else 0 end as closes
from unnest($1::text[]) with ordinality as s (text, nth)
cross join lateral (select split_part(s.text, '|', 2) as opens, split_part(s.text, '|', 3) as closes) x
cross join lateral ladder.cron_parse(x.opens) o
cross join lateral ladder.cron_parse(x.closes) c
order by s.nth
