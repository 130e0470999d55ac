-- player_total: the one view with a row a player, and so the one that is long to refresh (docs/decisions/0040).
create materialized view ladder.player_total as
select g.id as game_id, g.name as game, t.player, count(*) as boards, sum(t.submissions) as submissions, sum(t.changes) as improvements,
       min(t.first_at) as first_at, max(t.last_at) as last_at, min(r.rank) as best_rank
from ladder.tally_player t
join ladder.board b on b.id = t.board_id
join ladder.game g on g.id = b.game_id
left join (select e.player, p.board_id,
                  row_number() over (partition by e.period_id order by e.k1, e.k2, e.k3, e.player) as rank
           from ladder.entry e
           join ladder.period p on p.id = e.period_id
           where e.window_kind = 'all'
             and p.facet = ''
             and not e.removed) r on r.player = t.player and r.board_id = t.board_id
where b.deleted_at is null
group by g.id, g.name, t.player
with no data;
create unique index player_total_game_id_player_uq on ladder.player_total (game_id, player);
comment on index ladder.player_total_game_id_player_uq is 'One player; REFRESH … CONCURRENTLY.';
create index player_total_game_id_submissions_idx on ladder.player_total (game_id, submissions);
comment on index ladder.player_total_game_id_submissions_idx is 'The busiest players.';
comment on materialized view ladder.player_total is 'What each player did in a game. Asked for by reports over players. Refreshed at most every 6 h, since it reads every entry; the counts of this moment are in tally_player. How long that takes is in docs/performance.md.';
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
