-- The boards whose last midnight was not noted yet, and up to which revision changes have been numbered.
-- $1 limit
select b.id, s.starts_at as at, r.last_value as revision, b.game_id
from ladder.board b
cross join ladder.revision r
cross join lateral ladder.period_bounds('daily', b.time_zone, now()) s
where b.deleted_at is null
  and b.windows @> '{all}'
  and b.created_at < s.starts_at
  and not exists (select from ladder.snapshot_run q where q.board_id = b.id and q.at >= s.starts_at)
  and exists (select from ladder.period p where p.board_id = b.id and p.facet = '' and p.window_kind = 'all')
limit $1::int
