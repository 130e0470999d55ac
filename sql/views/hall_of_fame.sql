-- hall_of_fame: ten index entries a period of a whole board.
create materialized view ladder.hall_of_fame as
select p.id as period_id, b.game_id, g.name as game, p.board_id, b.name as board, p.window_kind, p.starts_at, p.ends_at, p.closed_at,
       n.gaps, x.rank, x.player,
       case b.ordering when 'desc' then ~x.k1 else x.k1 end as score,
       case b.ordering when 'desc' then ~x.k2 else x.k2 end as subscore,
       ladder.time_of(case b.tie when 'last' then ~x.k3 else x.k3 end) as achieved_at
from ladder.refresh_boards('hall_of_fame') q (id)
join ladder.board b on b.id = q.id
join ladder.game g on g.id = b.game_id
cross join lateral (select d.* from ladder.period d where d.board_id = q.id and d.closed_at is not null offset 0) p
cross join lateral (select count(*) as gaps from ladder.final_gap q where q.period_id = p.id) n
cross join lateral (
    select e.player, e.k1, e.k2, e.k3, row_number() over (order by e.k1, e.k2, e.k3, e.player) as rank
    from ladder.entry e
    where e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at and not e.removed
    order by e.k1, e.k2, e.k3, e.player
    limit 10) x
where p.state = 'closed'
  and p.final_count is not null
  and p.facet = ''
  and case when x.rank = 1 then ladder.refresh_pause() else true end
  and (p.window_kind <> 'hourly' or p.ends_at > now() - interval '7 days')
with no data;
create unique index hall_of_fame_period_id_rank_uq on ladder.hall_of_fame (period_id, rank);
comment on index ladder.hall_of_fame_period_id_rank_uq is 'fame: one period''s; REFRESH … CONCURRENTLY.';
create index hall_of_fame_game_id_ends_at_idx on ladder.hall_of_fame (game_id, ends_at, period_id) where rank = 1;
comment on index ladder.hall_of_fame_game_id_ends_at_idx is 'fame: the periods of a game, the newest first.';
create index hall_of_fame_game_id_player_idx on ladder.hall_of_fame (game_id, player, ends_at, period_id);
comment on index ladder.hall_of_fame_game_id_player_idx is 'fame, player_medals: where a player was among the ten.';
comment on materialized view ladder.hall_of_fame is 'The first ten of every closed period of a whole board; hourly ones for a week. Read by GET /v1/games/{game}/hall-of-fame and …/players/{player}/stats, with what closed and whoever was erased since (fame_changed). Refreshed at most every 60 s, and only after a period has closed or a player was erased. A refresh takes what docs/performance.md says.';
comment on column ladder.hall_of_fame.period_id is 'The standing.';
comment on column ladder.hall_of_fame.game_id is 'The game.';
comment on column ladder.hall_of_fame.game is 'Its name.';
comment on column ladder.hall_of_fame.board_id is 'The board.';
comment on column ladder.hall_of_fame.board is 'Its name.';
comment on column ladder.hall_of_fame.window_kind is 'The window.';
comment on column ladder.hall_of_fame.starts_at is 'Start of the period.';
comment on column ladder.hall_of_fame.ends_at is 'End of the period.';
comment on column ladder.hall_of_fame.closed_at is 'When it closed: another moment if it was opened again since.';
comment on column ladder.hall_of_fame.gaps is 'How many of its players had been erased.';
comment on column ladder.hall_of_fame.rank is '1 to 10.';
comment on column ladder.hall_of_fame.player is 'The player.';
comment on column ladder.hall_of_fame.score is 'The final score.';
comment on column ladder.hall_of_fame.subscore is 'The final subscore.';
comment on column ladder.hall_of_fame.achieved_at is 'When it was reached.';
select ladder.refresh_register('hall_of_fame', 60000);
