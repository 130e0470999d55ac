-- The standing that an export is of.
-- $1 board, $2 window or null, $3 current, previous, or the first instant, $4 facet
select p.id, p.window_kind, p.starts_at, b.ordering, b.tie
from ladder.board b
cross join lateral (select coalesce($2::ladder.window_kind, b.windows[1]) as kind) w
cross join lateral ladder.period_bounds(w.kind, b.time_zone, now()) x
cross join lateral (select case when $4::text = '' then ''
                                else b.facet_ids[array_position(b.facets, split_part($4::text, ':', 1))] || substr($4::text, strpos($4::text, ':'))
                           end as facet) f
join ladder.period p on p.board_id = b.id and p.facet = f.facet collate "C" and p.window_kind = w.kind
where b.id = $1::bigint
  and case $3::text
          when 'current' then p.starts_at = x.starts_at
          when 'previous' then p.ends_at = x.starts_at
          when 'all' then w.kind = 'all'
          else p.starts_at = case when $3::text not in ('current', 'previous', 'all') then $3::text::timestamptz end
      end
