-- After a commit that changed a definition: a position that covers it (see commit_lsn), the database's clock, and the number of the
-- game's newest change.
-- $1 game
select (pg_current_wal_flush_lsn() - '0/0')::bigint as lsn, ladder.us_of(clock_timestamp()) as at_us,
       (select g.definition from ladder.game g where g.id = $1::bigint) as definition
