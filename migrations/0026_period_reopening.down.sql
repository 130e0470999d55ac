-- Functions that use the column are replaced by migrating up.
drop function if exists ladder.period_reopen(bigint, ladder.window_kind, timestamptz, interval, text, text);
drop table ladder.period_reopening;
alter table ladder.period drop column close_at;
