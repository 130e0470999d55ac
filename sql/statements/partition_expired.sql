-- Partitions of score_event whose last day is older than the retention, by the name that partition_ensure gave them; also
-- those that an earlier run detached, or half detached, before it was cut.
-- $1 days
select c.relname, case when not c.relispartition then 'detached' when i.inhdetachpending then 'detaching' else 'attached' end as state
from pg_catalog.pg_class c
left join pg_catalog.pg_inherits i on i.inhrelid = c.oid
where c.relnamespace = 'ladder'::regnamespace
  and c.relkind = 'r'
  and c.relname ~ '^score_event_[0-9]{8}$'
  and to_date(right(c.relname, 8), 'YYYYMMDD') + 1 < current_date - $1::int
order by c.relname
