-- Are there periods that wait for transactions which may have seen them open?
select count(*) as periods
from ladder.period p
where p.state = 'closing'
  and not ladder.job_waits('close', p.board_id)
