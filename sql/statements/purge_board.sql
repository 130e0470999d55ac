-- The board's periods, facets, its imports and itself, when they are empty.
-- $1 board
with gone as (
    delete from ladder.period p
    where p.board_id = $1::bigint
),
valued as (
    delete from ladder.facet_value v
    where v.board_id = $1::bigint
),
placed as (
    delete from ladder.player_facet f
    where f.board_id = $1::bigint
),
dropped as (
    delete from ladder.facet_drop d
    where d.board_id = $1::bigint
),
imported as (
    delete from ladder.import_run i
    where i.board_id = $1::bigint
)
delete from ladder.board b
where b.id = $1::bigint
