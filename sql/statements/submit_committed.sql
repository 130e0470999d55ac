-- After a batch's commit, on its connection: a position that covers it, the database's clock, and what ladder.submit noted: the snapshot
-- in which it looked last, and its transaction (null: by a release that noted nothing).
select (pg_current_wal_flush_lsn() - '0/0')::bigint as lsn, ladder.us_of(clock_timestamp()) as at_us,
       current_setting('ladder.submitted', true) as submitted
