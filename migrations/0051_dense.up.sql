-- Dense ranks by PostgreSQL: a ladder of the different pairs of score and subscore, for standings of which dense ranks are read.
--
-- Locks: none on tables that exist.
-- Old binaries: go on; they never ask for a ladder of pairs, and their worker keeps those that there are.
-- Undo by hand: 0051_dense.down.sql.
create table ladder.tally_pair (
    period_id bigint not null,
    k1 bigint not null,
    k2 bigint not null,
    pairs bigint not null,
    constraint tally_pair_pk primary key (period_id, k1, k2)
);
comment on table ladder.tally_pair is 'A ladder beside each large standing of which dense ranks are read: how many different pairs (k1, k2) are from one rung (included) to the next (excluded), as of tally_cursor. The first rung is below every pair.';
comment on column ladder.tally_pair.period_id is 'The standing.';
comment on column ladder.tally_pair.k1 is 'Pair of the rung, as in entry.';
comment on column ladder.tally_pair.k2 is 'Pair of the rung, as in entry.';
comment on column ladder.tally_pair.pairs is 'Different pairs up to the next rung.';
comment on constraint tally_pair_pk on ladder.tally_pair is 'Rungs in the order of the standing: the one before a pair is one step of the index.';

create table ladder.tally_pair_want (
    period_id bigint not null,
    at timestamptz not null default now(),
    constraint tally_pair_want_pk primary key (period_id)
);
comment on table ladder.tally_pair_want is 'Standings of which PostgreSQL was asked for dense ranks within the last day. The worker makes and keeps the ladder of pairs (tally_pair) of the large ones.';
comment on column ladder.tally_pair_want.period_id is 'The standing.';
comment on column ladder.tally_pair_want.at is 'When a server last asked.';
comment on constraint tally_pair_want_pk on ladder.tally_pair_want is 'A standing is noted once.';
