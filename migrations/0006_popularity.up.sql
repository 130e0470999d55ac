-- How often each standing was read lately: after Redis lost everything, the most read are loaded first.
--
-- Locks: none that anybody would notice; the table is new.
-- Old binaries: go on, they do not know it.
-- Undo by hand: drop the table.
create table ladder.popularity (
    period_id bigint primary key references ladder.period on delete cascade,
    weight    double precision not null
);
comment on table ladder.popularity is 'How often standings were read lately, by the job `popular`: the order in which they are loaded into Redis.';
comment on column ladder.popularity.period_id is 'The standing.';
comment on column ladder.popularity.weight is 'Reads, a fifth of them forgotten each minute.';
comment on index ladder.popularity_pkey is 'standing_live: the weight of a standing.';
