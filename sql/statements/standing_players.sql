-- The entries of some players, best first, each with its rank: ordinal, competition or dense.
-- A standing with a ladder is read by it, in functions; a small one is counted here: what is planned once, for all calls, is quicker.
-- $1 window, $2 period start, $3 period, $4 players, $5 ranking
with ladder as materialized (
    select exists (select from ladder.tally_rung r where r.period_id = $3::bigint) as is_there
)
select m.player, m.k1, m.k2, m.k3, m.metadata,
       case when (select is_there from ladder) then ladder.standing_before($1::ladder.window_kind, $2::timestamptz, $3::bigint, m.k1, m.k2, m.k3, m.player)
            else (select count(*) from ladder.entry e
                  where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                    and e.period_id = $3::bigint and not e.removed
                    and (e.k1, e.k2, e.k3, e.player) < (m.k1, m.k2, m.k3, m.player)) end + 1 as first_rank,
       case $5::int
           when 1 then case when (select is_there from ladder)
                            then ladder.standing_before($1::ladder.window_kind, $2::timestamptz, $3::bigint, m.k1, m.k2, -9223372036854775808, '')
                            else (select count(*) from ladder.entry e
                                  where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                                    and e.period_id = $3::bigint and not e.removed and (e.k1, e.k2) < (m.k1, m.k2)) end
           when 2 then (select count(*) from (select distinct e.k1, e.k2 from ladder.entry e
                        where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                          and e.period_id = $3::bigint and not e.removed and (e.k1, e.k2) < (m.k1, m.k2)) d)
           else 0
       end as groups,
       (select case when (select is_there from ladder) then ladder.standing_total($1::ladder.window_kind, $2::timestamptz, $3::bigint)
                else (select count(*) from ladder.entry e
                      where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                        and e.period_id = $3::bigint and not e.removed) end) as total
from ladder.entry m
where m.window_kind = $1::ladder.window_kind
  and m.period_start = $2::timestamptz
  and m.period_id = $3::bigint
  and m.player = any ($4::text[])
  and not m.removed
order by m.k1, m.k2, m.k3, m.player
