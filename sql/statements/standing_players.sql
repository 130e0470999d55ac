-- The entries of some players, best first, each with its rank: ordinal, competition or dense. Of a closed period the ordinal
-- ranks were written down. None of them: one row without a player.
-- A standing with a ladder is read by it, in functions; a small one is counted here: what is planned once, for all calls, is quicker.
-- $1 window, $2 period start, $3 period, $4 players, $5 ranking, $6 with the total
with ladder as materialized (
    select exists (select from ladder.tally_rung r where r.period_id = $3::bigint) as is_there
)
select m.player, m.k1, m.k2, m.k3, m.metadata,
       case when p.final_count is not null then ladder.final_rank_of($3::bigint, m.player)
            else place.before + 1
       end as first_rank,
       case $5::int
           when 1 then ladder.standing_group($1::ladder.window_kind, $2::timestamptz, $3::bigint, m.k1, m.k2, m.k3, m.player, place.before)
           when 2 then ladder.standing_dense($1::ladder.window_kind, $2::timestamptz, $3::bigint, m.k1, m.k2)
           else 0
       end as groups,
       case when not $6::boolean then null
            when p.final_count is not null then p.final_count - (select count(*) from ladder.final_gap g where g.period_id = $3::bigint)
            when (select is_there from ladder) then ladder.standing_total($1::ladder.window_kind, $2::timestamptz, $3::bigint)
            else (select count(*) from ladder.entry e
                  where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                    and e.period_id = $3::bigint and not e.removed)
       end as total
from (select (select q.final_count from ladder.period q where q.id = $3::bigint)) p (final_count)
left join ladder.entry m
   on m.window_kind = $1::ladder.window_kind
  and m.period_start = $2::timestamptz
  and m.period_id = $3::bigint
  and m.player = any ($4::text[])
  and not m.removed
left join lateral (
    select case when p.final_count is not null and $5::int <> 1 then null
                when (select is_there from ladder)
                    then ladder.standing_before($1::ladder.window_kind, $2::timestamptz, $3::bigint, m.k1, m.k2, m.k3, m.player)
                else (select count(*) from ladder.entry e
                      where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                        and e.period_id = $3::bigint and not e.removed
                        and (e.k1, e.k2, e.k3, e.player) < (m.k1, m.k2, m.k3, m.player)) end as before
    offset 0) place on true
order by m.k1, m.k2, m.k3, m.player
