-- Kinds of window for schedules, and the state of a period in which a schedule is not open. By themselves: a transaction cannot use a
-- value that it adds.
--
-- Locks: none on tables.
-- Old binaries: go on; they know no board that has such a window. Make none before every server is of this version.
-- Undo by hand: PostgreSQL cannot remove a value from an enum; the values stay, and nothing has them.
alter type ladder.window_kind add value if not exists 'scheduled_1';
alter type ladder.window_kind add value if not exists 'scheduled_2';
alter type ladder.window_kind add value if not exists 'scheduled_3';
alter type ladder.window_kind add value if not exists 'scheduled_4';
alter type ladder.period_state add value if not exists 'pause';
