-- After a commit: a position that covers it, and the database's clock. The flush position, because the insert position
-- may name a place that an idle primary never replays past.
select (pg_current_wal_flush_lsn() - '0/0')::bigint as lsn, ladder.us_of(clock_timestamp()) as at_us
