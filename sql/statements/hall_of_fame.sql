-- Who won the closed periods of a game, the newest first. Always one row at least, for its first column.
-- $1 game, $2 board ('': all), $3 window ('': all), $4 player ('': all), $5 how many of each, $6 before microseconds, $7 and period, $8 limit
select one.as_of_us, x.period_id, x.board,
       (select ladder.window_title(x.window_kind, b.schedules)
        from ladder.period p
        join ladder.board b on b.id = p.board_id
        where p.id = x.period_id) as window_title, ladder.us_of(x.starts_at) as starts_us, ladder.us_of(x.ends_at) as ends_us,
       x.rank, x.player, x.score, x.subscore, ladder.us_of(x.achieved_at) as achieved_us
from (select ladder.read_as_of() as as_of_us offset 0) one
left join ladder.fame($1::bigint, nullif($2::text, ''), ladder.window_named($3::text, '{}'), nullif($4::text, ''), $5::int,
                      ladder.time_of($6::bigint), $7::bigint, $8::int,
                      case when $3::text <> '' and ladder.window_named($3::text, '{}') is null then $3::text end) x on true
order by x.ends_at desc, x.period_id desc, x.rank
