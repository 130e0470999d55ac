-- Changes what may change; null leaves it.
-- $1 board id, $2 windows, $3 score_min, $4 score_max, $5 is_public
update ladder.board b
set windows = coalesce($2::ladder.window_kind[], b.windows),
    score_min = coalesce($3::bigint, b.score_min),
    score_max = coalesce($4::bigint, b.score_max),
    is_public = coalesce($5::boolean, b.is_public),
    updated_at = now()
where b.id = $1::bigint
  and b.deleted_at is null
returning b.id, b.game_id, b.name, b.ordering, b.operator, b.tie, array_to_string(b.windows, ',') as windows, b.time_zone,
       b.score_min, b.score_max, b.is_public, ladder.us_of(b.created_at) as created_us, ladder.us_of(b.updated_at) as updated_us
