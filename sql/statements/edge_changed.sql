-- The boards that edges keep and in which an entry changed since a snapshot: the same events as tail_changes.
-- $1 snapshot, $2 oldest submission to look at, $3 boards; null: all
select g.name as game, b.name as board, b.max_staleness_ms
from (select distinct v.board_id
      from ladder.score_event v
      where v.period_ids is not null
        and v.submitted_at >= $2::timestamptz
        and ($3::bigint[] is null or v.board_id = any ($3::bigint[]))
        and (v.xid = any (array(select pg_snapshot_xip($1::pg_snapshot))) or v.xid >= pg_snapshot_xmax($1::pg_snapshot))) c
join ladder.board b on b.id = c.board_id
join ladder.game g on g.id = b.game_id
where b.edge_max_age_s > 0
  and b.is_public
  and b.deleted_at is null
