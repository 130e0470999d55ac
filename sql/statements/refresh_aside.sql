-- The boards that a refresh has left out, as it found them.
-- $1 view, $2 run
select a.board_id, j.error
from ladder.refresh_run r
join ladder.refresh_aside a on a.view = r.view
join ladder.job_item j on j.job = 'refresh' and j.item_id = a.board_id and j.failed_at >= r.started_at
where r.view = $1::text
  and r.id = $2::bigint
order by a.board_id
