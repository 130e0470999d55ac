-- Closes the ended periods of a board without waiting for the backfill grace: the roll job finds them due.
-- $1 board id
with due as (
    update ladder.period p
    set close_at = now()
    where p.board_id = $1::bigint
      and p.state = 'open'
      and p.ends_at <= now()
    returning p.facet
)
select count(*) filter (where d.facet = '') as periods
from due d
