-- Boards that were deleted a while ago, or whose game was: no server takes submissions for them any more.
select x.id
from (select b.id, b.deleted_at
      from ladder.board b
      where b.deleted_at < now() - interval '1 minute'
      union
      select b.id, b.deleted_at
      from ladder.game g
      join ladder.board b on b.game_id = g.id
      where g.deleted_at < now() - interval '1 minute') x
where not ladder.job_waits('purge', x.id)
order by x.deleted_at
limit 10
