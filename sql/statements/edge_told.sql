-- $1 ids
delete from ladder.edge_purge p
where p.id = any ($1::bigint[])
