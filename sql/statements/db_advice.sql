-- What the schema would be better for, as commands, the most important first.
-- $1 from how much air in an index on, in percent, $2 from what size of it on, in bytes
with leaf as (
    select i.oid, x.indisvalid, pg_relation_size(i.oid) as bytes,
           8192 * (1 + ceil(i.reltuples * (12 + (select sum(coalesce(w.avg_width, 8))
                                                from pg_attribute a
                                                left join pg_stats w on w.schemaname = 'ladder' and w.tablename = t.relname and w.attname = a.attname
                                                where a.attrelid = i.oid)) / (8192 * 0.9))) as needed,
           i.reltuples
    from pg_index x
    join pg_class i on i.oid = x.indexrelid and i.relkind = 'i'
    join pg_class t on t.oid = x.indrelid
    where t.relnamespace = 'ladder'::regnamespace
),
advice (rank, command, reason) as (
    select 1, format('reindex index concurrently %s', l.oid::regclass), 'it is not valid: no query uses it'
    from leaf l
    where not l.indisvalid
    union all
    select 2, format('create index concurrently on %s (%s)', k.conrelid::regclass, string_agg(quote_ident(a.attname), ', ' order by c.nth)),
           format('a foreign key: each row that leaves %s reads all of it', k.confrelid::regclass)
    from pg_constraint k
    cross join lateral unnest(k.conkey) with ordinality as c (attnum, nth)
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.attnum
    where k.contype = 'f'
      and k.connamespace = 'ladder'::regnamespace
      and not exists (select from pg_index x
                      where x.indrelid = k.conrelid and x.indisvalid and (x.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
    group by k.oid, k.conrelid, k.confrelid
    union all
    select 3, format('analyze %s', s.relid::regclass),
           case when coalesce(s.last_analyze, s.last_autoanalyze) is null then format('never done, at some %s rows', s.n_live_tup)
                else format('%s rows changed since the last time, of %s', s.n_mod_since_analyze, s.n_live_tup) end
    from pg_stat_all_tables s
    where s.schemaname = 'ladder'
      and case when coalesce(s.last_analyze, s.last_autoanalyze) is null then s.n_live_tup > 1000
               else s.n_mod_since_analyze > 10000 and s.n_mod_since_analyze > s.n_live_tup / 5 end
    union all
    select 4, format('reindex index concurrently %s', l.oid::regclass),
           format('%s of its %s are air', to_char(100 * (1 - l.needed / l.bytes), 'FM990%'), pg_size_pretty(l.bytes))
    from leaf l
    where l.indisvalid
      and l.reltuples > 0
      and l.bytes >= $2::bigint
      and l.needed < l.bytes * (1 - $1::int / 100.0)
)
select command, reason
from advice
order by rank, command
