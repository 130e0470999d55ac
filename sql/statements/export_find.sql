-- The standing that an export is of. No row: the board has no such window, facet or period. A null period: the current one has no
-- entry yet.
-- $1 board, $2 window or null, $3 current, previous, or the first instant, $4 facet
select p.id, w.kind, x.starts_at, b.ordering, b.tie, array_to_string(b.facets, ','), array_to_string(b.facet_ids, ',')
from ladder.board b
cross join lateral (select coalesce($2::ladder.window_kind, b.windows[1]) as kind) w
cross join lateral ladder.period_bounds(w.kind, b.time_zone, now()) n
cross join lateral (select case when $4::text = '' then ''
                                else b.facet_ids[array_position(b.facets, split_part($4::text, ':', 1))] || substr($4::text, strpos($4::text, ':'))
                           end as facet) f
left join ladder.period p on p.board_id = b.id and p.facet = f.facet collate "C" and p.window_kind = w.kind
    and case $3::text
            when 'current' then p.starts_at = n.starts_at
            when 'previous' then p.ends_at = n.starts_at
            when 'all' then w.kind = 'all'
            else p.starts_at = case when $3::text not in ('current', 'previous', 'all') then $3::text::timestamptz end
        end
cross join lateral (select coalesce(p.starts_at, n.starts_at) as starts_at) x
where b.id = $1::bigint
  and w.kind = any (b.windows)
  and f.facet is not null
  and (p.id is not null or $3::text in ('current', 'all'))
