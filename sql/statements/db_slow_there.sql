-- Where pg_stat_statements is; no row: it is not there.
select quote_ident(n.nspname) as schema
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
where e.extname = 'pg_stat_statements'
