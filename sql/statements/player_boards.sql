-- Where a player stands: the boards of a game in whose current period of a window he has an entry. Without a window, each
-- board's first.
-- $1 game, $2 player, $3 window or null, $4 after this board, $5 limit
select b.id, b.game_id, b.name, b.ordering, b.operator, b.tie, array_to_string(b.windows, ',') as windows, b.time_zone,
       b.score_min, b.score_max, b.is_public, ladder.us_of(b.created_at) as created_us, ladder.us_of(b.updated_at) as updated_us,
       b.max_staleness_ms, b.max_age_s, b.stale_while_revalidate_s, b.stale_if_error_s, b.edge_max_age_s,
       array_to_string(b.facets, ',') as facets, array_to_string(b.facet_ids, ',') as facet_ids, b.facet_values_max, b.synchronous_commit,
       array_to_string(b.schedules, E'\n') as schedules,
       p.id as period_id, p.window_kind, ladder.us_of(p.starts_at) as starts_us, ladder.us_of(p.ends_at) as ends_us
from ladder.board b
cross join lateral (select case when $3::text is null then b.windows[1] else ladder.window_named($3::text, b.schedules) end as kind) w
cross join lateral ladder.period_of(b.id, w.kind, now()) p
where b.game_id = $1::bigint
  and b.name > $4::text
  and b.deleted_at is null
  and w.kind = any (b.windows)
  and exists (select
              from ladder.entry q
              where q.period_id = p.id and q.player = $2::text collate "C"
                and q.window_kind = p.window_kind and q.period_start = p.starts_at and not q.removed
              offset 0)
order by b.name
limit $5::int
