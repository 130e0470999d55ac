-- The board's periods, its imports and itself, when they are empty.
-- $1 board
with gone as (
    delete from ladder.period p
    where p.board_id = $1::bigint
),
run as (
    delete from ladder.snapshot_run r
    where r.board_id = $1::bigint
),
imported as (
    delete from ladder.import_run i
    where i.board_id = $1::bigint
)
delete from ladder.board b
where b.id = $1::bigint
