-- The entries of some players, best first, each with its rank: ordinal, competition or dense. Of a closed period the ordinal
-- ranks were written down. None of them: one row without a player.
-- $1 window, $2 period start, $3 period, $4 players, $5 ranking, $6 with the total
select m.player, m.k1, m.k2, m.k3, m.metadata,
       case when p.final_count is null then
                (select count(*) from ladder.entry e
                 where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                   and e.period_id = $3::bigint and not e.removed
                   and (e.k1, e.k2, e.k3, e.player) < (m.k1, m.k2, m.k3, m.player)) + 1
            else ladder.final_rank_of($3::bigint, m.player)
       end as first_rank,
       case $5::int
           when 1 then (select count(*) from ladder.entry e
                        where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                          and e.period_id = $3::bigint and not e.removed and (e.k1, e.k2) < (m.k1, m.k2))
           when 2 then (select count(*) from (select distinct e.k1, e.k2 from ladder.entry e
                        where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                          and e.period_id = $3::bigint and not e.removed and (e.k1, e.k2) < (m.k1, m.k2)) d)
           else 0
       end as groups,
       case when not $6::boolean then null
            when p.final_count is null then
                (select count(*) from ladder.entry e
                 where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                   and e.period_id = $3::bigint and not e.removed)
            else p.final_count - (select count(*) from ladder.final_gap g where g.period_id = $3::bigint)
       end as total
from (select (select q.final_count from ladder.period q where q.id = $3::bigint)) p (final_count)
left join ladder.entry m
   on m.window_kind = $1::ladder.window_kind
  and m.period_start = $2::timestamptz
  and m.period_id = $3::bigint
  and m.player = any ($4::text[])
  and not m.removed
order by m.k1, m.k2, m.k3, m.player
