-- Every index of the schema, those of partitions with their parent's: size, use, and how much of it is air. What its entries need
-- is estimated from the statistics; the deduplication of equal keys may need less.
with leaf as (
    select pg_partition_root(i.oid) as root, i.oid, i.relname, x.indrelid, x.indisvalid, x.indisunique, pg_relation_size(i.oid) as bytes,
           coalesce(s.idx_scan, 0) as scans,
           case when i.reltuples > 0 then
               8192 * (1 + ceil(i.reltuples * (12 + (select sum(coalesce(w.avg_width, 8))
                                                    from pg_attribute a
                                                    left join pg_stats w on w.schemaname = 'ladder' and w.tablename = t.relname and w.attname = a.attname
                                                    where a.attrelid = i.oid)) / (8192 * 0.9)))
           end as needed
    from pg_index x
    join pg_class i on i.oid = x.indexrelid and i.relkind = 'i'
    join pg_class t on t.oid = x.indrelid
    left join pg_stat_all_indexes s on s.indexrelid = i.oid
    where t.relnamespace = 'ladder'::regnamespace
)
select coalesce(r.relname, l.relname) as index, min(coalesce(pg_partition_root(l.indrelid), l.indrelid)::regclass::text) as "table",
       count(*) as parts, sum(l.bytes)::bigint as bytes, sum(l.scans)::bigint as scans,
       greatest(0, coalesce(round(100 * (1 - sum(l.needed) / nullif(sum(l.bytes) filter (where l.needed is not null), 0))), 0))::int as air_percent,
       bool_and(l.indisvalid) as is_valid, bool_and(l.indisunique) as is_unique
from leaf l
left join pg_class r on r.oid = l.root
group by coalesce(r.relname, l.relname)
order by 4 desc, 1
