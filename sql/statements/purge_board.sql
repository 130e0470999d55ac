-- The board's periods, facets, its imports and itself, when they are empty.
-- $1 board
with gone as (
    delete from ladder.period p
    where p.board_id = $1::bigint
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
dated as (
    delete from ladder.tally_day t
    where t.board_id = $1::bigint
),
played as (
    delete from ladder.tally_player t
    where t.board_id = $1::bigint
),
run as (
    delete from ladder.snapshot_run r
    where r.board_id = $1::bigint
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
noted as (
    delete from ladder.job_item j
    where j.item_id = $1::bigint
      and j.job <> 'purge-game'
),
added as (
    delete from ladder.tally_aside a
    where a.board_id = $1::bigint
),
shown as (
    delete from ladder.refresh_aside a
    where a.board_id = $1::bigint
),
imported as (
    delete from ladder.import_run i
    where i.board_id = $1::bigint
)
delete from ladder.board b
where b.id = $1::bigint
