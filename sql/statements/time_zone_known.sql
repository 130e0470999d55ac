-- $1 name
select exists (select from pg_timezone_names z where z.name = $1::text and z.name not like 'posix%') as is_known
