-- $1 id, $2 rows, $3 error
update ladder.job_run
set ended_at = now(), rows = $2::bigint, error = $3::text
where id = $1::bigint
