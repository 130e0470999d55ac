-- Partitions of score_event whose last day is older than the retention, by the name that partition_ensure gave them.
-- $1 days
select c.relname
from pg_catalog.pg_inherits i
join pg_catalog.pg_class c on c.oid = i.inhrelid
where i.inhparent = 'ladder.score_event'::regclass
  and c.relname ~ '^score_event_[0-9]{8}$'
  and to_date(right(c.relname, 8), 'YYYYMMDD') + 1 < current_date - $1::int
order by c.relname
