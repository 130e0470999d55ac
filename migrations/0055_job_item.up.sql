-- When the jobs must look at a board again, and for which boards they fail: so that a job reads what is due, and goes on past what
-- fails.
--
-- Locks: reads ladder.board once, and ladder.game for an index of it; otherwise creates new objects. Old binaries: go on; their jobs look at all boards. Undo by hand:
-- 0055_job_item.down.sql.
create table ladder.job_item (
    job           text        not null,
    item_id       bigint      not null,
    due_at        timestamptz not null default '-infinity',
    failures      integer     not null default 0,
    failed_at     timestamptz,
    failing_since timestamptz,
    error         text,
    constraint job_item_pk primary key (job, item_id)
);
create index job_item_due_idx on ladder.job_item (job, due_at);
create index job_item_failing_idx on ladder.job_item (job, due_at) where failures > 0;
create index job_item_item_id_idx on ladder.job_item (item_id);
comment on table ladder.job_item is 'When a job must look at a board. The jobs roll and snapshot have a row for each board; others have one only while they fail for the board.';
comment on constraint job_item_pk on ladder.job_item is 'One row for a job and a board.';
comment on index ladder.job_item_due_idx is 'What is due: roll_due, snapshot_due.';
comment on index ladder.job_item_failing_idx is 'What fails: the alert, and what a job leaves out for now.';
comment on index ladder.job_item_item_id_idx is 'purge_board.';
comment on column ladder.job_item.job is 'The job, or the part of it that works board by board.';
comment on column ladder.job_item.item_id is 'The board; of purge-game, the game.';
comment on column ladder.job_item.due_at is 'When the job looks at it next.';
comment on column ladder.job_item.failures is 'How many times in a row it failed.';
comment on column ladder.job_item.failed_at is 'When it failed last.';
comment on column ladder.job_item.failing_since is 'When it failed first.';
comment on column ladder.job_item.error is 'Why it failed last.';

create index game_deleted_at_idx on ladder.game (deleted_at) where deleted_at is not null;
comment on index ladder.game_deleted_at_idx is 'The purge job.';

insert into ladder.job_item (job, item_id)
select j.job, b.id
from ladder.board b
cross join (values ('roll'), ('snapshot')) as j (job)
where b.deleted_at is null;
