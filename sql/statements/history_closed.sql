-- A player's places in the closed periods of a window, newest first. Looks at 1,000 periods at most; always at least one row,
-- so that it can say how far it came: the last column, null when there are no more.
-- $1 board, $2 player, $3 window, $4 before microseconds, $5 limit
with scanned as (
    select p.id, p.window_kind, p.starts_at, p.ends_at, p.final_count
    from ladder.period p
    where p.board_id = $1::bigint
      and p.facet = ''
      and p.window_kind = $3::ladder.window_kind
      and p.starts_at < ladder.time_of($4::bigint)
      and p.state = 'closed'
      and p.final_count is not null
    order by p.starts_at desc
    limit 1000
),
found as (
    select s.starts_at, s.ends_at, ladder.final_rank_of(s.id, $2::text) as rank, e.k1, e.k2,
           s.final_count - (select count(*) from ladder.final_gap g where g.period_id = s.id) as entries
    from scanned s
    join ladder.final_rank f on f.period_id = s.id and f.player = $2::text
    cross join lateral (select q.k1, q.k2
                        from ladder.entry q
                        where q.period_id = s.id and q.player = $2::text collate "C"
                          and q.window_kind = s.window_kind and q.period_start = s.starts_at and not q.removed
                        offset 0) e
    order by s.starts_at desc
    limit $5::int
)
select ladder.us_of(found.starts_at) as starts_us, ladder.us_of(found.ends_at) as at_us, found.rank, found.k1, found.k2, found.entries,
       (select ladder.us_of(min(s.starts_at)) from scanned s having count(*) = 1000) as more_us
from (values (1)) one
left join found on true
order by found.starts_at desc
