-- Boards whose events can't be added up, because that raises an error: each has a cursor of its own (docs/decisions/0114).
--
-- Locks: creates new objects. Old binaries: go on; their folds and reads are those of the functions. Undo by hand:
-- 0059_tally_aside.down.sql.
create table ladder.tally_aside (
    board_id   bigint      not null,
    snapshot   pg_snapshot not null,
    at         timestamptz not null,
    last_event bigint      not null,
    constraint tally_aside_pk primary key (board_id)
);
comment on table ladder.tally_aside is 'Boards whose events can''t be added up, because that raises an error: the tally of each has exactly the events that its own snapshot sees. ladder.job_item (job tally) has the error, and when it is tried again.';
comment on constraint tally_aside_pk on ladder.tally_aside is 'One row for a board.';
comment on column ladder.tally_aside.board_id is 'The board.';
comment on column ladder.tally_aside.snapshot is 'What is in.';
comment on column ladder.tally_aside.at is 'When it was taken.';
comment on column ladder.tally_aside.last_event is 'As in tally_cursor.';
