-- What was read most lately, noted so that it outlives Redis. Replaces what was noted before.
-- $1 standings, $2 weights
with gone as (
    delete from ladder.popularity w
    where w.period_id <> all ($1::bigint[])
)
insert into ladder.popularity as w (period_id, weight)
select x.period_id, x.weight
from unnest($1::bigint[], $2::double precision[]) as x (period_id, weight)
where exists (select from ladder.period p where p.id = x.period_id)
on conflict (period_id) do update
    set weight = excluded.weight
