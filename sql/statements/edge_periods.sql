-- When periods begin, and those of schedules end, on boards that edges keep: those running now and those to come.
-- $1 after, $2 up to, microseconds since 1970
select g.name as game, b.name as board, ladder.us_of(x.begins_at) as begins_us
from ladder.board b
join ladder.game g on g.id = b.game_id
cross join lateral unnest(b.windows) as w (kind)
cross join lateral ladder.window_bounds(w.kind, b.time_zone, b.schedules, now()) p
left join lateral ladder.period_known(b.id, w.kind, now()) r on w.kind > 'hourly' -- made before its schedule was changed
cross join lateral (values (coalesce(r.starts_at, p.starts_at)), (coalesce(r.ends_at, p.ends_at))) as x (begins_at)
where b.edge_max_age_s > 0
  and b.is_public
  and b.deleted_at is null
  and w.kind <> 'all'
  and x.begins_at > ladder.time_of($1::bigint)
  and x.begins_at <= ladder.time_of($2::bigint)
