-- How many entries (ranking 2, dense: how many different pairs) are better than a key, and how many entries there are.
-- A standing with a ladder is read by it, in functions; a small one is counted here: what is planned once, for all calls, is quicker.
-- $1 window, $2 period start, $3 period, $4 k1, $5 k2, $6 k3, $7 player, $8 ranking
with ladder as materialized (
    select exists (select from ladder.tally_rung r where r.period_id = $3::bigint) as is_there
)
select case $8::int
           when 2 then ladder.standing_dense($1::ladder.window_kind, $2::timestamptz, $3::bigint, $4::bigint, $5::bigint)
           else case when (select is_there from ladder)
                     then ladder.standing_before($1::ladder.window_kind, $2::timestamptz, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::text)
                     else (select count(*) from ladder.entry e
                           where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                             and e.period_id = $3::bigint and not e.removed
                             and (e.k1, e.k2, e.k3, e.player) < ($4::bigint, $5::bigint, $6::bigint, $7::text collate "C")) end
       end as better,
       case when (select is_there from ladder) then ladder.standing_total($1::ladder.window_kind, $2::timestamptz, $3::bigint)
                else (select count(*) from ladder.entry e
                      where e.window_kind = $1::ladder.window_kind and e.period_start = $2::timestamptz
                        and e.period_id = $3::bigint and not e.removed) end as total
