-- Tombstones that are old enough, by the event that made them.
-- $1 hours, $2 limit
select v.id, v.submitted_at, v.player, e.period_id, e.revision, e.window_kind, e.period_start, v.board_id
from (select q.*
      from ladder.score_event q
      where q.kind = 'remove'
        and q.submitted_at < now() - $1::int * interval '1 hour'
        and not ladder.job_waits('purge', q.board_id)
      limit $2::int) v
left join lateral (select r.*
                   from unnest(v.period_ids) as t (period_id)
                   join ladder.period p on p.id = t.period_id
                   join ladder.entry r on r.period_id = p.id and r.player = v.player and r.window_kind = p.window_kind
                                      and r.period_start = p.starts_at and r.removed) e on true
