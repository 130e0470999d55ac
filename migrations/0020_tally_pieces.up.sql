-- The tally adds up a backlog in pieces, each committed by itself.
--
-- Locks: tally_cursor, which has one row. Old binaries: go on; their worker adds up a piece each time it runs.
-- Undo by hand: 0020_tally_pieces.down.sql.
alter table ladder.tally_cursor add column last_event bigint not null default 0;
comment on column ladder.tally_cursor.last_event is 'About which score_event.id the cursor has reached: an estimate, by which readers choose how they count.';

create table ladder.tally_due (
    period_id bigint not null,
    constraint tally_due_period_id_pk primary key (period_id)
);
comment on table ladder.tally_due is 'Standings whose rungs have to be looked at again: they changed in a piece of a backlog, and rungs are made only when nothing is left behind the cursor.';
comment on column ladder.tally_due.period_id is 'The standing.';
comment on constraint tally_due_period_id_pk on ladder.tally_due is 'A standing is noted once.';
