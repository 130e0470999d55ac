-- For the transaction of a refresh.
-- $1 work_mem, $2 statement_timeout, $3 share of a processor in percent
select set_config('work_mem', $1::text, true), set_config('statement_timeout', $2::text, true), set_config('lock_timeout', '2s', true),
       set_config('ladder.refresh_percent', $3::text, true)
