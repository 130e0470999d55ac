-- All is counted again by the next fold: the cursor does not speak of these boards. The functions go with the table; migrating up makes those
-- of the version that is installed.
delete from ladder.tally_cursor where exists (select from ladder.tally_aside);
drop function if exists ladder.tally_cursor_of(bigint);
drop function if exists ladder.tally_add(ladder.tally_cursor, xid8, boolean, bigint[], bigint[]);
drop function if exists ladder.tally_apart(ladder.tally_cursor, xid8, boolean, bigint[]);
drop function if exists ladder.tally_set_aside(ladder.tally_cursor, bigint, text);
drop function if exists ladder.tally_retry(interval);
drop function if exists ladder.game_rest_of(bigint[], text, ladder.tally_cursor);
drop function if exists ladder.submissions_behind(ladder.tally_cursor, bigint[], text);
drop function if exists ladder.player_rest(bigint, text);
drop function if exists ladder.tally_mend(bigint[], bigint[], ladder.tally_rung[], bigint[], bigint[]);
drop function if exists ladder.tally_events(timestamptz, xid8[], xid8, xid8, bigint[]);
drop table ladder.tally_aside;
