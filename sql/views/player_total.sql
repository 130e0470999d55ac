-- player_total: the one view with a row a player. All the work is in its rollup, which is gathered first (sql/functions/76_player_gather.sql;
-- docs/decisions/0040); this copies it, so that a report sees one state of it, on a standby too.
create materialized view ladder.player_total as
select g.id as game_id, g.name as game, r.player, r.boards, r.submissions, r.improvements, r.first_at, r.last_at, r.best_rank
from ladder.player_rollup r
join ladder.game g on g.id = r.game_id
where case when hashtext(r.player) & 1023 = 0 then ladder.refresh_pause() else true end
with no data;
create unique index player_total_game_id_player_uq on ladder.player_total (game_id, player);
comment on index ladder.player_total_game_id_player_uq is 'One player; REFRESH … CONCURRENTLY.';
create index player_total_game_id_submissions_idx on ladder.player_total (game_id, submissions);
comment on index ladder.player_total_game_id_submissions_idx is 'The busiest players.';
comment on materialized view ladder.player_total is 'What each player did in a game. Its best_rank is read by GET /v1/games/{game}/players/{player}/stats (player_best); the counts of this moment come from tally_player. Refreshed at most every 60 s, and no sooner than twenty times what the last one took, since every entry is read for it. A refresh took 272,866 ms, 28,327 of them without its sleep, at 10,000,000 entries over 100 boards.';
comment on column ladder.player_total.game_id is 'The game.';
comment on column ladder.player_total.game is 'Its name.';
comment on column ladder.player_total.player is 'The player.';
comment on column ladder.player_total.boards is 'Boards with a submission of the player.';
comment on column ladder.player_total.submissions is 'Submissions.';
comment on column ladder.player_total.improvements is 'Those that changed an entry.';
comment on column ladder.player_total.first_at is 'The earliest moment that one speaks of.';
comment on column ladder.player_total.last_at is 'The latest.';
comment on column ladder.player_total.best_rank is 'The best place in a standing of all time; null: in none.';
select ladder.refresh_register('player_total', 60000);
