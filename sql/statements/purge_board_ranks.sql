-- Some of the final ranks of one period; with the last of them, its gaps and its message.
-- $1 period, $2 limit
with gap as (
    delete from ladder.final_gap g
    where g.period_id = $1::bigint
      and not exists (select from ladder.final_rank q where q.period_id = $1::bigint offset $2::int)
),
told as (
    delete from ladder.webhook_delivery d
    where d.period_id = $1::bigint
      and not exists (select from ladder.final_rank q where q.period_id = $1::bigint offset $2::int)
)
delete from ladder.final_rank f
where f.period_id = $1::bigint
  and f.player in (select q.player
                   from ladder.final_rank q
                   where q.period_id = $1::bigint
                   limit $2::int)
