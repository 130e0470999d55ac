-- $1 job, $2 board, $3 why
select ladder.job_failed($1::text, $2::bigint, $3::text) as failures
