-- The standing that an export is of. No row: the board has no such window, facet or period; in the pause of a schedule none is current. A null period: the current one has no
-- entry yet.
-- $1 board, $2 window or null, $3 current, previous, or the first instant, $4 facet
select p.id, w.kind, x.starts_at, b.ordering, b.tie, array_to_string(b.facets, ','), array_to_string(b.facet_ids, ',')
from ladder.board b
cross join lateral (select case when $2::text is null then b.windows[1] else ladder.window_named($2::text, b.schedules) end as kind) w
left join lateral ladder.period_of(b.id, w.kind, now()) r on w.kind > 'hourly' -- made before its schedule was changed, it may be
cross join lateral ladder.window_bounds(w.kind, b.time_zone, b.schedules, now()) y
cross join lateral (select coalesce(r.starts_at, y.starts_at) as starts_at, coalesce(r.state = 'pause', y.is_pause) as is_pause) n
cross join lateral (select case when $4::text = '' then ''
                                else b.facet_ids[array_position(b.facets, split_part($4::text, ':', 1))] || substr($4::text, strpos($4::text, ':'))
                           end as facet) f
left join ladder.period p on p.board_id = b.id and p.facet = f.facet collate "C" and p.window_kind = w.kind and p.state <> 'pause'
    and case $3::text
            when 'current' then p.starts_at = n.starts_at
            when 'previous' then case when w.kind <= 'hourly' then p.ends_at = n.starts_at
                                      else p.starts_at = (select max(q.starts_at)
                                                          from ladder.period q
                                                          where q.board_id = b.id and q.facet = '' and q.window_kind = w.kind
                                                            and q.state <> 'pause' and q.ends_at <= now()) end
            when 'all' then w.kind = 'all'
            else p.starts_at = case when $3::text not in ('current', 'previous', 'all') then $3::text::timestamptz end
        end
cross join lateral (select coalesce(p.starts_at, n.starts_at) as starts_at) x
where b.id = $1::bigint
  and w.kind = any (b.windows)
  and f.facet is not null
  and (p.id is not null or $3::text in ('current', 'all') and not n.is_pause)
