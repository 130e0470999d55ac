-- Makes a board. What orders or adds scores is fixed once it is made (409 by the caller, who compares); bounds,
-- windows and visibility follow.
-- $1 game id, $2 name, $3 ordering, $4 operator, $5 tie, $6 windows, $7 time zone, $8 score_min, $9 score_max, $10 is_public
insert into ladder.board as b (game_id, name, ordering, operator, tie, windows, time_zone, score_min, score_max, is_public)
values ($1::bigint, $2::text, $3::ladder.score_order, $4::ladder.score_operator, $5::ladder.tie_rule,
        $6::ladder.window_kind[],
        case when now() at time zone $7::text is not null then $7::text end, -- 22023 for an unknown zone
        $8::bigint, $9::bigint, $10::boolean)
on conflict (game_id, name) where deleted_at is null do update
    set windows = excluded.windows, score_min = excluded.score_min, score_max = excluded.score_max,
        is_public = excluded.is_public, updated_at = now()
    where b.ordering = excluded.ordering and b.operator = excluded.operator and b.tie = excluded.tie
      and b.time_zone = excluded.time_zone
returning b.id, b.game_id, b.name, b.ordering, b.operator, b.tie, array_to_string(b.windows, ',') as windows, b.time_zone,
       b.score_min, b.score_max, b.is_public, ladder.us_of(b.created_at) as created_us, ladder.us_of(b.updated_at) as updated_us, b.xmax = 0 as is_new
