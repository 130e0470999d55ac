-- The same as job_item_failed, of the board that a standing is of.
-- $1 job, $2 period, $3 why
select ladder.job_failed($1::text, p.board_id, $3::text) as failures, p.board_id
from ladder.period p
where p.id = $2::bigint
