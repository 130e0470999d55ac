-- Deleted games whose boards are gone.
select g.id
from ladder.game g
where g.deleted_at < now() - interval '1 minute'
  and not exists (select from ladder.board b where b.game_id = g.id)
  and not ladder.job_waits('purge-game', g.id)
order by g.deleted_at
limit 10
