-- What a board would lose. A schedule that it would get takes the place of one that it has, or had, under that name; another has nothing.
-- $1 board id, $2 windows, $3 facets, $4 count no further
select l.field, l.name, l.entries
from ladder.board b
cross join lateral ladder.board_loss(b.id, array_remove(ladder.windows_named($2::text[], b.schedules), null), $3::text[], $4::bigint) l
where b.id = $1::bigint
