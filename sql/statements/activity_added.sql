-- The same of what became visible since a snapshot, of standings that were loaded before.
-- $1 snapshot, $2 oldest submission to look at, $3 periods
with event as materialized (
    select v.board_id, v.kind, v.submitted_at, v.achieved_at, v.period_ids, v.moves, v.facets
    from ladder.score_event v
    where v.submitted_at >= $2::timestamptz
      and (v.xid = any (array(select pg_snapshot_xip($1::pg_snapshot))) or v.xid >= pg_snapshot_xmax($1::pg_snapshot))
)
select x.period_id, 'add' as what, r.ring, div(extract(epoch from x.submitted_at), r.width_s)::bigint as slot, sum(x.submissions)::bigint as submissions,
       sum(x.arrivals)::bigint as arrivals
from (select p.id as period_id, e.submitted_at, 1 as submissions, 0 as arrivals
      from ladder.period p
      join event e on e.board_id = p.board_id and e.achieved_at >= p.starts_at and e.achieved_at < p.ends_at
      where p.id = any ($3::bigint[])
        and e.kind = 'submit'
        and (p.facet = '' or p.facet = any (e.facets))
      union all
      select u.period_id, e.submitted_at, 0, coalesce((e.moves[u.nth][1] is null and e.moves[u.nth][4] is not null)::integer, 0)
      from event e
      cross join lateral unnest(e.period_ids) with ordinality as u (period_id, nth)
      where u.period_id = any ($3::bigint[])) x
cross join (values (1, 1), (2, 60), (3, 3600)) r (ring, width_s)
group by x.period_id, r.ring, slot
order by x.period_id % 256, x.period_id
