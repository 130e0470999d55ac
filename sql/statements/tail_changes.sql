-- What became visible since a snapshot: the state, now, of every entry that an event since then changed. Run in one
-- REPEATABLE READ transaction with tail_snapshot, on the primary (a standby's snapshots lack the running xids).
-- $1 snapshot, $2 oldest submission to look at, $3 boards; null: all
select p.id as period_id, e.player, e.k1, e.k2, e.k3, e.revision, e.removed, e.metadata, p.state <> 'open' as is_final
from (select distinct unnest(v.period_ids) as period_id, v.player
      from ladder.score_event v
      where v.period_ids is not null
        and v.submitted_at >= $2::timestamptz
        and ($3::bigint[] is null or v.board_id = any ($3::bigint[]))
        and (v.xid = any (array(select pg_snapshot_xip($1::pg_snapshot))) or v.xid >= pg_snapshot_xmax($1::pg_snapshot))) c
join ladder.period p on p.id = c.period_id
cross join lateral (select q.*
                    from ladder.entry q
                    where q.period_id = c.period_id and q.player = c.player collate "C"
                      and q.window_kind = p.window_kind and q.period_start = p.starts_at
                    offset 0) e
