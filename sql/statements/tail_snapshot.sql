-- The next cursor.
select pg_current_snapshot()::text as snapshot, ladder.us_of(now()) as at_us
