-- After it, as the session was opened.
select set_config(s.name, s.reset_val, false)
from pg_settings s
where s.name in ('work_mem', 'statement_timeout', 'lock_timeout')
