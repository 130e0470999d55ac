-- What jobs look at is found by an index: boards made of others whose sources have changed (a row in ladder.job_item), and idempotency keys
-- that are older than a day. Their BRIN index did not find these any more once newer keys were written into the space of purged ones:
-- each run of the purge read all keys.
--
-- Locks: combination and idempotency_key against writes while an index of each is built, some 1 s for a million keys. Old binaries: go on;
-- their job combine looks at all such boards, and leaves the rows. Undo by hand: 0060_due.down.sql.
create table ladder.combine_cursor (
    is_only boolean not null default true,
    snapshot pg_snapshot not null,
    at timestamptz not null,
    epoch integer,
    constraint combine_cursor_pk primary key (is_only),
    constraint combine_cursor_is_only_ck check (is_only)
);
comment on table ladder.combine_cursor is 'Up to where the job combine has looked for changes of sources: one row, or none before its first run.';
comment on column ladder.combine_cursor.is_only is 'True: there is one row at most.';
comment on column ladder.combine_cursor.snapshot is 'For each event that this sees, the boards made of its board have a row in job_item, or have it in them.';
comment on column ladder.combine_cursor.at is 'When that was.';
comment on column ladder.combine_cursor.epoch is 'The history in which the snapshot means something.';
comment on constraint combine_cursor_pk on ladder.combine_cursor is 'One row.';
comment on constraint combine_cursor_is_only_ck on ladder.combine_cursor is 'One row.';
create index combination_new_idx on ladder.combination (board_id) where snapshot is null;
comment on index ladder.combination_new_idx is 'combine_due: those that are to be made anew.';
comment on table ladder.job_item is 'When a job must look at a board. The jobs roll and snapshot have a row for each board, combine for each whose sources have changed; others have one only while they fail for the board.';

drop index ladder.idempotency_key_created_at_idx;
create index idempotency_key_created_at_idx on ladder.idempotency_key (created_at);
comment on index ladder.idempotency_key_created_at_idx is 'The purge job.';
