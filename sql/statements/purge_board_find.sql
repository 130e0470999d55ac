-- Boards that were deleted a while ago, or whose game was: no server takes submissions for them any more.
select x.id
from (select b.id, b.deleted_at
      from ladder.board b
      where b.deleted_at < now() - interval '1 minute'
      union
      select b.id, b.deleted_at
      from (select g.id from ladder.game g where g.deleted_at < now() - interval '1 minute' offset 0) g
      cross join lateral (select b.id, b.deleted_at from ladder.board b where b.game_id = g.id offset 0) b) x -- of these games alone
where not ladder.job_waits('purge', x.id)
order by x.deleted_at
limit 10
