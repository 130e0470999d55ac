-- The functions that use the table go with it; migrating up applies them again.
drop trigger if exists board_due on ladder.board;
drop function if exists ladder.board_due();
drop function if exists ladder.job_failed(text, bigint, text);
drop function if exists ladder.job_waits(text, bigint);
drop function if exists ladder.roll_open(bigint[], integer);
drop table ladder.job_item;
drop index ladder.game_deleted_at_idx;
