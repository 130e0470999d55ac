-- First in the pipeline of a read: has this standby replayed what the reader must see? It has if it is past the position, in
-- the same history: the row of an epoch is the first thing that is written in it, so who has not replayed that row follows
-- another one, whose positions say nothing.
-- $1 lsn, $2 epoch
select r.is_standby and r.position >= $1::bigint and r.epoch = $2::integer as covers, r.position, r.epoch
from (
    select pg_is_in_recovery() as is_standby,
           coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint as position,
           coalesce((select max(e.epoch) from ladder.epoch e), 0) as epoch
) r
