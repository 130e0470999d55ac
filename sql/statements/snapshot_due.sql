-- The boards whose midnight has come since the job looked at them last: whether the last midnight is to be noted, when the next one is,
-- and up to which revision changes have been numbered.
-- $1 limit
select j.item_id as board_id, s.starts_at as at, r.last_value as revision, b.game_id,
       coalesce(b.deleted_at is null
                and b.windows @> '{all}'
                and b.created_at < s.starts_at
                and not exists (select from ladder.snapshot_run q where q.board_id = b.id and q.at >= s.starts_at)
                and exists (select from ladder.period p where p.board_id = b.id and p.facet = '' and p.window_kind = 'all'), false) as is_wanted,
       coalesce(case when b.deleted_at is null and b.windows @> '{all}' then s.ends_at end, 'infinity') as next_at
from (select q.item_id, q.due_at
      from ladder.job_item q
      where q.job = 'snapshot'
        and q.due_at <= now()
      order by q.due_at
      limit $1::int) j
cross join ladder.revision r
left join ladder.board b on b.id = j.item_id
left join lateral ladder.period_bounds('daily', b.time_zone, now()) s on b.id is not null
