-- player_total: the one view with a row a player, and so the one that is long to refresh (docs/decisions/0040). Sums and ranks are
-- each brought to a row a player before they meet, which is a third of the work of joining an entry to what its player did; and ranks are
-- read off the index of the order, standing by standing, with no sort.
create materialized view ladder.player_total as
select g.id as game_id, g.name as game, s.player, s.boards, s.submissions, s.improvements, s.first_at, s.last_at, r.best_rank
from (select b.game_id, t.player, count(*) as boards, sum(t.submissions) as submissions, sum(t.changes) as improvements,
             min(t.first_at) as first_at, max(t.last_at) as last_at
      from ladder.tally_player t
      join ladder.board b on b.id = t.board_id
      where b.deleted_at is null
        and case when hashtext(t.player) & 1023 = 0 then ladder.refresh_pause() else true end
      group by b.game_id, t.player) s
join ladder.game g on g.id = s.game_id
left join (select b.game_id, x.player, min(x.rank) as best_rank
           from ladder.board b
           join ladder.period p on p.board_id = b.id and p.window_kind = 'all' and p.facet = ''
           cross join lateral (select e.player,
                                      row_number() over (order by e.k1, e.k2, e.k3, e.player rows unbounded preceding) as rank
                               from ladder.entry_all e
                               where e.period_id = p.id
                                 and not e.removed) x
           where b.deleted_at is null
             and case when x.rank % 1024 = 0 then ladder.refresh_pause() else true end
           group by b.game_id, x.player) r on r.game_id = s.game_id and r.player = s.player
with no data;
create unique index player_total_game_id_player_uq on ladder.player_total (game_id, player);
comment on index ladder.player_total_game_id_player_uq is 'One player; REFRESH … CONCURRENTLY.';
create index player_total_game_id_submissions_idx on ladder.player_total (game_id, submissions);
comment on index ladder.player_total_game_id_submissions_idx is 'The busiest players.';
comment on materialized view ladder.player_total is 'What each player did in a game. Asked for by reports over players. Refreshed at most every 6 h, since it reads every entry; the counts of this moment are in tally_player. A refresh took 24,183 ms, 13,706 of them without its sleep, at 10,000,000 entries over 100 boards.';
comment on column ladder.player_total.game_id is 'The game.';
comment on column ladder.player_total.game is 'Its name.';
comment on column ladder.player_total.player is 'The player.';
comment on column ladder.player_total.boards is 'Boards with a submission of the player.';
comment on column ladder.player_total.submissions is 'Submissions.';
comment on column ladder.player_total.improvements is 'Those that changed an entry.';
comment on column ladder.player_total.first_at is 'The earliest moment that one speaks of.';
comment on column ladder.player_total.last_at is 'The latest.';
comment on column ladder.player_total.best_rank is 'The best place in a standing of all time; null: in none.';
select ladder.refresh_register('player_total', 21600000);
