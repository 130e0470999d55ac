-- Third step: the periods whose every submission that was on its way has ended, and those closed without ranks. was_reopened: it was
-- closed before.
-- $1 limit
select p.id, (select b.game_id from ladder.board b where b.id = p.board_id) as game_id, p.board_id,
       exists (select from ladder.period_reopening r
               where r.board_id = p.board_id and r.window_kind = p.window_kind and r.starts_at = p.starts_at) as was_reopened
from ladder.period p
where p.state = 'closing'
  and p.settle_xid <= (select ladder.writers_xmin())
  and not ladder.job_waits('close', p.board_id)
union all
select p.id, (select b.game_id from ladder.board b where b.id = p.board_id), p.board_id, false
from ladder.period p
where p.state = 'closed'
  and p.final_count is null
  and not ladder.job_waits('close', p.board_id)
limit $1::int
