-- $1 board
select c.rule, ladder.us_of(c.caught_up_at) as caught_up_us, b.name, s.weight
from ladder.combination c
left join ladder.combination_source s on s.board_id = c.board_id
left join ladder.board b on b.id = s.source_id and b.deleted_at is null
where c.board_id = $1::bigint
order by b.name
