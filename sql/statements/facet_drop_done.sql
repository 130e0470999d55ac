-- The facet's standings, when they are empty, its values, and the note that it was dropped.
-- $1 board, $2 facet's number
with gone as (
    delete from ladder.facet_drop d
    where d.facet_id = $2::bigint
)
select ladder.purge_periods($1::bigint, $2::bigint)
