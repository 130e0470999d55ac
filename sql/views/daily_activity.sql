-- daily_activity: tally_day with names, by day, week and month, so that a year by month is twelve rows a board.
create materialized view ladder.daily_activity as
select b.game_id, g.name as game, b.name as board, t.board_id, k.bucket, date_trunc(k.bucket, t.day)::date as starts_on,
       sum(t.submissions)::bigint as submissions, sum(t.changes)::bigint as improvements,
       sum(case k.bucket when 'day' then t.players when 'week' then t.players_of_week else t.players_of_month end)::bigint as players,
       sum(t.newcomers)::bigint as newcomers
from ladder.refresh_boards('daily_activity') q (id)
join ladder.board b on b.id = q.id
join ladder.game g on g.id = b.game_id
cross join lateral (select d.* from ladder.tally_day d where d.board_id = q.id offset 0) t
cross join (values ('day'), ('week'), ('month')) k (bucket)
where case when extract(doy from t.day)::integer % 32 = 0 then ladder.refresh_pause() else true end
group by b.game_id, g.name, b.name, t.board_id, k.bucket, date_trunc(k.bucket, t.day)
with no data;
create unique index daily_activity_game_id_bucket_starts_on_uq on ladder.daily_activity (game_id, bucket, starts_on, board_id);
comment on index ladder.daily_activity_game_id_bucket_starts_on_uq is 'activity_shown: a game, the newest first; REFRESH … CONCURRENTLY.';
comment on materialized view ladder.daily_activity is 'What was submitted to each board by day, week and month of its time zone. Read by GET /v1/games/{game}/stats, with what changed since (game_activity). Refreshed at most every 60 s. A refresh takes what docs/performance.md says.';
comment on column ladder.daily_activity.game_id is 'The game.';
comment on column ladder.daily_activity.game is 'Its name.';
comment on column ladder.daily_activity.board is 'Name of the board.';
comment on column ladder.daily_activity.board_id is 'The board.';
comment on column ladder.daily_activity.bucket is 'day, week (from Monday) or month: how long it is.';
comment on column ladder.daily_activity.starts_on is 'First date of it, in the board''s time zone, that the submissions speak of.';
comment on column ladder.daily_activity.submissions is 'Submissions.';
comment on column ladder.daily_activity.improvements is 'Submissions that changed an entry.';
comment on column ladder.daily_activity.players is 'Different players.';
comment on column ladder.daily_activity.newcomers is 'Players who were new on the board.';
select ladder.refresh_register('daily_activity', 60000);
