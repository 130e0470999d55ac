-- rank_ladder: the rungs of tally_rung, numbered. Exact ranks of this moment come from tally_rung itself (72_tally_read.sql): this is
-- a copy with names, for reports.
create materialized view ladder.rank_ladder as
select p.id as period_id, g.name as game, b.name as board, p.window_kind, p.starts_at, x.before + 1 as rank,
       case b.ordering when 'desc' then ~x.k1 else x.k1 end as score,
       case b.ordering when 'desc' then ~x.k2 else x.k2 end as subscore
from ladder.period p
join ladder.board b on b.id = p.board_id
join ladder.game g on g.id = b.game_id
join ladder.tally t on t.period_id = p.id
cross join lateral (
    select r.k1, r.k2, r.before
    from (select q.k1, q.k2, q.k3, q.player, q.entries,
                 sum(q.entries) over (order by q.k1, q.k2, q.k3, q.player rows unbounded preceding) - q.entries as before
          from ladder.tally_rung q
          where q.period_id = p.id) r
    where r.before > 0
      and r.entries > 0
    union all
    select e.k1, e.k2, e.before
    from (select q.k1, q.k2, row_number() over (order by q.k1, q.k2, q.k3, q.player) - 1 as before
          from ladder.entry q
          where q.period_id = p.id and q.window_kind = p.window_kind and q.period_start = p.starts_at and not q.removed) e
    where ladder.tally_step(t.entries) is null
      and e.before % greatest(1, t.entries / 1000) = 0) x
where p.state <> 'closed'
  and p.facet = ''
  and b.deleted_at is null
  and t.entries >= 1000
  and case when hashint8(x.before::bigint) & 63 = 0 then ladder.refresh_pause() else true end
with no data;
create unique index rank_ladder_period_id_rank_uq on ladder.rank_ladder (period_id, rank);
comment on index ladder.rank_ladder_period_id_rank_uq is 'Which score has a rank; REFRESH … CONCURRENTLY.';
create index rank_ladder_period_id_score_idx on ladder.rank_ladder (period_id, score);
comment on index ladder.rank_ladder_period_id_score_idx is 'Which rank has a score.';
comment on materialized view ladder.rank_ladder is 'Which score has which rank: about every thousandth of each open standing of a whole board with 1,000 entries or more. Asked for by who sets rewards and thresholds (one score''s rank of this moment: GET …/at). Refreshed at most every 60 s. A refresh took 1,049 ms, 473 of them without its sleep, at 10,000,000 entries over 100 boards.';
comment on column ladder.rank_ladder.period_id is 'The standing.';
comment on column ladder.rank_ladder.game is 'Name of the game.';
comment on column ladder.rank_ladder.board is 'Name of the board.';
comment on column ladder.rank_ladder.window_kind is 'The window.';
comment on column ladder.rank_ladder.starts_at is 'Start of the period.';
comment on column ladder.rank_ladder.rank is 'Place in the exact order.';
comment on column ladder.rank_ladder.score is 'The score there.';
comment on column ladder.rank_ladder.subscore is 'The subscore there.';
select ladder.refresh_register('rank_ladder', 60000);
