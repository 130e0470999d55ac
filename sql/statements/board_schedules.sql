-- The schedules that a board has as windows: the text of each, and its next five periods.
-- $1 board id
select right(w.kind::text, 1)::int as slot, x.text, ladder.us_of(n.starts_at) as starts_us, ladder.us_of(n.ends_at) as ends_us,
       ladder.us_of(b.updated_at) as updated_us
from ladder.board b
cross join lateral unnest(b.windows) as w (kind)
cross join lateral (select b.schedules[right(w.kind::text, 1)::int] as text offset 0) x
left join lateral ladder.schedule_next(b.id, split_part(x.text, '|', 1), 5) n on true
where b.id = $1::bigint
  and b.deleted_at is null
  and w.kind > 'hourly'
order by 1, n.starts_at
