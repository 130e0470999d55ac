-- standing_statistics: by the tally, so that a refresh counts no table (docs/decisions/0040).
create materialized view ladder.standing_statistics as
select p.id as period_id, g.name as game, b.name as board, p.window_kind, p.starts_at, s.entries, s.total,
       ladder.mean_of(s.entries, s.total) as mean, ladder.deviation_of(s.entries, s.total, s.squares) as stddev,
       s.lowest, s.highest, s.percentiles[1] as p50, s.percentiles[2] as p90, s.percentiles[3] as p99
from ladder.period p
join ladder.board b on b.id = p.board_id
join ladder.game g on g.id = b.game_id
cross join lateral ladder.standing_statistics(p.window_kind, p.starts_at, p.id, '{50,90,99}', '', 0) s
where p.state <> 'closed'
  and p.facet = ''
  and b.deleted_at is null
  and s.entries > 0
  and ladder.refresh_pause()
with no data;
create unique index standing_statistics_period_id_uq on ladder.standing_statistics (period_id);
comment on index ladder.standing_statistics_period_id_uq is 'One standing; REFRESH … CONCURRENTLY.';
create index standing_statistics_game_board_idx on ladder.standing_statistics (game, board);
comment on index ladder.standing_statistics_game_board_idx is 'The standings of a board.';
comment on materialized view ladder.standing_statistics is 'Every open standing of a whole board in numbers. Asked for by dashboards and reports (one board''s numbers of this moment: GET …/stats). Refreshed at most every 15 s. A refresh took 2,672 ms, 386 of them without its sleep, at 10,000,000 entries over 100 boards.';
comment on column ladder.standing_statistics.period_id is 'The standing.';
comment on column ladder.standing_statistics.game is 'Name of the game.';
comment on column ladder.standing_statistics.board is 'Name of the board.';
comment on column ladder.standing_statistics.window_kind is 'The window.';
comment on column ladder.standing_statistics.starts_at is 'Start of the period.';
comment on column ladder.standing_statistics.entries is 'Entries.';
comment on column ladder.standing_statistics.total is 'Sum of their scores.';
comment on column ladder.standing_statistics.mean is 'Mean score, to six digits behind the point.';
comment on column ladder.standing_statistics.stddev is 'Standard deviation of all of them, the same.';
comment on column ladder.standing_statistics.lowest is 'Least score.';
comment on column ladder.standing_statistics.highest is 'Greatest score.';
comment on column ladder.standing_statistics.p50 is 'Score of the last entry that is at least as good as 50 % of the others.';
comment on column ladder.standing_statistics.p90 is 'The same for 90 %.';
comment on column ladder.standing_statistics.p99 is 'The same for 99 %.';
select ladder.refresh_register('standing_statistics', 15000);
