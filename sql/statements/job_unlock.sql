-- $1 job
select pg_advisory_unlock(hashtext('ladder.job'), hashtext($1::text))
