-- The facet's standings, when they are empty, its values, and the note that it was dropped.
-- $1 board, $2 facet's number
with gone as (
    delete from ladder.period p
    where p.board_id = $1::bigint
      and p.facet >= $2::text || ':' collate "C"
      and p.facet < $2::text || ';' collate "C"
    returning p.id
),
tallied as (
    delete from ladder.tally t
    using gone
    where t.period_id = gone.id
),
runged as (
    delete from ladder.tally_rung t
    using gone
    where t.period_id = gone.id
),
paired as (
    delete from ladder.tally_pair t
    using gone
    where t.period_id = gone.id
),
slotted as (
    delete from ladder.tally_slot t
    using gone
    where t.period_id = gone.id
),
valued as (
    delete from ladder.facet_value v
    where v.board_id = $1::bigint
      and v.facet >= $2::text || ':' collate "C"
      and v.facet < $2::text || ';' collate "C"
)
delete from ladder.facet_drop d
where d.facet_id = $2::bigint
