-- A server reads dense ranks of a standing in PostgreSQL: the worker makes a ladder of its pairs (tally_pair), and keeps it for a day.
-- $1 period
insert into ladder.tally_pair_want as w (period_id)
values ($1::bigint)
on conflict (period_id) do update
    set at = excluded.at
    where w.at < excluded.at - interval '30 minutes'
