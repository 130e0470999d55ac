-- Facets that were dropped a while ago: no server takes submissions for them any more.
select d.facet_id, d.board_id
from ladder.facet_drop d
where d.dropped_at < now() - interval '1 minute'
  and not ladder.job_waits('purge', d.board_id)
order by d.dropped_at
limit 100
