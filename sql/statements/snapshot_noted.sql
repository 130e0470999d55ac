-- When the job must look at a board again.
-- $1 board, $2 instant
update ladder.job_item j
set due_at = $2::timestamptz, failures = 0, failed_at = null, failing_since = null, error = null
where j.job = 'snapshot'
  and j.item_id = $1::bigint
