-- Whether an export that was cut may go on: how many entries of the standing stand before the place where it was cut, how many
-- entries, or facets of the board's players, were written since the snapshot, and how many entries there are. The reader's
-- snapshot has all that the earlier one had; xmin lacks the epoch, which is that of the newest transaction.
-- $1 period, $2 window, $3 its start, $4 board, $5 snapshot, $6 $7 $8 the last key, $9 the last player
select e.before, e.changed + f.changed, e.total
from (select (pg_snapshot_xmax(pg_current_snapshot())::text)::bigint as id) newest
cross join lateral (
    select count(*) filter (where not q.removed and (q.k1, q.k2, q.k3, q.player) <= ($6::bigint, $7::bigint, $8::bigint, $9::text collate "C")) as before,
           count(*) filter (where not pg_visible_in_snapshot((newest.id - ((newest.id - q.xmin::text::bigint) & 4294967295))::text::xid8,
                                                             $5::pg_snapshot)) as changed,
           count(*) filter (where not q.removed) as total
    from ladder.entry q
    where q.period_id = $1::bigint
      and q.window_kind = $2::ladder.window_kind
      and q.period_start = $3::timestamptz) e
cross join lateral (
    select count(*) filter (where not pg_visible_in_snapshot((newest.id - ((newest.id - q.xmin::text::bigint) & 4294967295))::text::xid8,
                                                             $5::pg_snapshot)) as changed
    from ladder.player_facet q
    where q.board_id = $4::bigint) f
