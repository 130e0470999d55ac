-- What a server says of itself: its part, how far it is, of which history, since when it runs.
select r.is_standby,
       (case when r.is_standby then coalesce(pg_last_wal_replay_lsn(), '0/0') else pg_current_wal_flush_lsn() end - '0/0')::bigint as lsn,
       case when r.is_standby then (select min_recovery_end_timeline from pg_control_recovery())
            else ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::integer end as timeline,
       (select system_identifier from pg_control_system()) as cluster,
       coalesce((select max(e.epoch) from ladder.epoch e), 0) as epoch,
       ladder.us_of(pg_postmaster_start_time()) as started_us
from (select pg_is_in_recovery() as is_standby) r
