-- The combined boards.
select c.board_id
from ladder.combination c
join ladder.board b on b.id = c.board_id
where b.deleted_at is null
  and not ladder.job_waits('combine', c.board_id)
order by c.caught_up_at nulls first
