-- Windows by schedule: their names and cron expressions, and the partitions of their entries.
--
-- Locks: ladder.board exclusively for a moment (a column, a check of few rows); ladder.entry takes the partition under a lock that reads
-- and writes pass. Old binaries: go on; they know no board that has such a window. Undo by hand: 0064_schedule.down.sql.
alter table ladder.board add column schedules text[] not null default '{}';
alter table ladder.board drop constraint board_windows_ck;
alter table ladder.board add constraint board_windows_ck check (cardinality(windows) between 1 and 9);
alter table ladder.board add constraint board_schedules_ck check (cardinality(schedules) <= 4);
comment on column ladder.board.schedules is 'Name, cron expression that opens and cron expression that closes, with | between: of the windows scheduled_1 to scheduled_4. One that the board no longer has keeps its place while it has periods.';
comment on constraint board_windows_ck on ladder.board is 'At least one, at most the nine that there are.';
comment on constraint board_schedules_ck on ladder.board is 'As many as there are kinds of window for them.';
comment on type ladder.window_kind is 'A reset schedule of a board; of scheduled_1 to scheduled_4 the board has the name and the cron expressions.';
comment on type ladder.period_state is 'open takes submissions; closing waits for those on their way; closed is final; a pause is the time between two periods of a schedule.';
comment on column ladder.period.state is 'open, closing, closed; or pause: no period, but the time between two of a schedule.';

create table ladder.entry_scheduled (like ladder.entry including all) partition by range (period_start);
alter table ladder.entry attach partition ladder.entry_scheduled for values in ('scheduled_1', 'scheduled_2', 'scheduled_3', 'scheduled_4');
comment on table ladder.entry_scheduled is 'Standings of windows by schedule, a partition a year.';
