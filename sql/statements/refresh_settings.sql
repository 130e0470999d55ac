-- For the transaction of a refresh.
-- $1 work_mem, $2 statement_timeout
select set_config('work_mem', $1::text, true), set_config('statement_timeout', $2::text, true), set_config('lock_timeout', '2s', true)
