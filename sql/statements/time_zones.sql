-- The names of the tz database, as this server has it: without copies of the database within it, and without names of no place.
select z.name
from pg_timezone_names z
where z.name !~ '^(posix|right)/'
  and z.name not in ('localtime', 'posixrules', 'Factory')
order by z.name collate "C"
