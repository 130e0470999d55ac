-- For a refresh, until refresh_settings_reset.
-- $1 work_mem, $2 statement_timeout, $3 share of a processor in percent
select set_config('work_mem', $1::text, false), set_config('statement_timeout', $2::text, false), set_config('lock_timeout', '2s', false),
       set_config('ladder.refresh_percent', $3::text, false)
