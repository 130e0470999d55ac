-- A standing was rebuilt.
-- $1 period
delete from ladder.job_item j
where j.job = 'rebuild'
  and j.item_id = (select p.board_id from ladder.period p where p.id = $1::bigint)
