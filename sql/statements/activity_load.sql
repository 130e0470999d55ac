-- What ladder.standing_activity counts, of these standings: by ring (1: seconds, 2: minutes, 3: hours) and slot since 1970, as
-- ladder.lua takes it. No ring where nothing was submitted; no row while nobody adds up. Run as tail_changes is.
-- $1 periods
select w.period_id, 'load' as what, x.ring, x.slot, x.submissions, x.arrivals
from unnest($1::bigint[]) w (period_id)
cross join ladder.tally_cursor
left join lateral (
    select v.ring, div(extract(epoch from v.at), v.width_s)::bigint as slot, sum(v.submissions)::bigint as submissions,
           sum(v.arrivals)::bigint as arrivals
    from (select case t.width_s when 1 then 1 when 60 then 2 else 3 end as ring, t.width_s, t.at, t.submissions, t.arrivals
          from ladder.tally_slot t
          where t.period_id = w.period_id
            and t.width_s in (1, 60, 3600)
            and t.at >= now() - case t.width_s when 1 then interval '2 minutes' else interval '25 hours' end
          union all
          select r.ring, r.width_s, e.at, e.submissions, e.arrivals
          from ladder.standing_rest(w.period_id) e
          cross join (values (1, 1), (2, 60), (3, 3600)) r (ring, width_s)) v
    group by 1, 2) x on true
order by w.period_id % 256, w.period_id
