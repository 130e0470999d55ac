-- First in the pipeline of a read: has this server replayed what the reader must see?
-- $1 lsn
select case when pg_is_in_recovery() then coalesce(pg_last_wal_replay_lsn() - '0/0' >= $1::bigint, false) else true end as covers
