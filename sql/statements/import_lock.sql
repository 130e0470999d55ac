-- One runner an import, for the session.
-- $1 board, $2 source hash
select pg_advisory_lock(hashtextextended('ladder.import ' || $1 || ' ' || $2, 0))
