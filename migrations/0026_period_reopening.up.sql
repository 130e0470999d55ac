-- When a past period closes may be said; and which closed periods were opened again, by whom and why.
--
-- Locks: ladder.period for a moment; a column without a default, so the table is not written again. Old binaries: go on; they close
-- periods by the old rule.
-- Undo by hand: 0026_period_reopening.down.sql.
alter table ladder.period add column close_at timestamptz;
comment on column ladder.period.close_at is 'When it closes, where that was said (an import that closes its periods, a period that was opened again); null: by worker.close_grace_ms and worker.backfill_grace_s.';

create table ladder.period_reopening (
    id          bigint             not null generated always as identity,
    board_id    bigint             not null,
    window_kind ladder.window_kind not null,
    starts_at   timestamptz        not null,
    closed_at   timestamptz,
    reopened_at timestamptz        not null default now(),
    login       text               not null default session_user,
    person      text               not null,
    reason      text               not null,
    close_at    timestamptz        not null,
    constraint period_reopening_id_pk primary key (id)
);
create index period_reopening_board_id_idx on ladder.period_reopening (board_id);
comment on table ladder.period_reopening is 'The audit of `ladder period reopen`: rows are only added.';
comment on sequence ladder.period_reopening_id_seq is 'Numbers the reopenings.';
comment on constraint period_reopening_id_pk on ladder.period_reopening is 'In order of time.';
comment on index ladder.period_reopening_board_id_idx is 'ladder period log.';
comment on column ladder.period_reopening.id is 'Counts up.';
comment on column ladder.period_reopening.board_id is 'The board.';
comment on column ladder.period_reopening.window_kind is 'The window.';
comment on column ladder.period_reopening.starts_at is 'First instant of the period.';
comment on column ladder.period_reopening.closed_at is 'When it had closed.';
comment on column ladder.period_reopening.reopened_at is 'When it was opened again.';
comment on column ladder.period_reopening.login is 'The database login that did it.';
comment on column ladder.period_reopening.person is 'Who did it, as given by --by; the user and host of the command by default.';
comment on column ladder.period_reopening.reason is 'Why.';
comment on column ladder.period_reopening.close_at is 'When it was to close again.';
