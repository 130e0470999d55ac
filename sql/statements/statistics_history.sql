-- What was submitted to a board by day, week or month of its time zone: the tally, and the events that it lacks.
-- $1 board, $2 bucket, $3 first day, $4 last day, $5 limit
select x.bucket::text, sum(x.submissions) as submissions, sum(x.changes) as changes, sum(x.players) as players, sum(x.newcomers) as newcomers,
       sum(x.score_total) as total, ladder.mean_of(sum(x.submissions)::bigint, sum(x.score_total)) as mean,
       min(x.score_min) as lowest, max(x.score_max) as highest
from (select date_trunc($2::text, t.day)::date as bucket, t.submissions, t.changes,
             case $2::text when 'day' then t.players when 'week' then t.players_of_week else t.players_of_month end as players,
             t.newcomers, t.score_total, t.score_min, t.score_max
      from ladder.tally_day t
      where t.board_id = $1::bigint
        and t.day >= date_trunc($2::text, $3::date)
        and date_trunc($2::text, t.day) <= $4::date
      union all
      select r.bucket, r.submissions, r.changes, r.players, r.newcomers, r.score_total, r.score_min, r.score_max
      from ladder.tally_rest($1::bigint, $2::text) r
      where r.bucket >= date_trunc($2::text, $3::date)
        and r.bucket <= $4::date) x
group by x.bucket
order by x.bucket
limit $5::int
