-- What a player did in a game: the totals in every row, and a row for each window in whose closed periods he was among the ten.
-- $1 game, $2 player
select one.as_of_us, a.boards, a.submissions, a.improvements, ladder.us_of(a.first_at) as first_us, ladder.us_of(a.last_at) as last_us,
       b.best_rank, ladder.us_of(b.as_of) as best_us, m.window_kind, m.best_rank as window_rank, m.firsts, m.seconds, m.thirds, m.tens
from (select ladder.read_as_of() as as_of_us offset 0) one
cross join ladder.player_activity($1::bigint, $2::text) a
cross join ladder.player_best($1::bigint, $2::text, a.first_at) b
left join ladder.player_medals($1::bigint, $2::text) m on true
order by array_position('{monthly,weekly,daily,hourly}'::text[], m.window_kind), m.window_kind
