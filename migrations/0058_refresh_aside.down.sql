-- The functions and views that use the table go with it; migrating up makes those of the version that is installed.
drop materialized view if exists ladder.daily_activity;
drop materialized view if exists ladder.hall_of_fame;
drop function if exists ladder.refresh_boards(text);
drop function if exists ladder.refresh_try(text, bigint[]);
drop function if exists ladder.refresh_set_aside(text, bigint, text);
drop function if exists ladder.refresh_find(text, bigint[]);
drop function if exists ladder.refresh_retry(text);
drop function if exists ladder.player_gather_culprit(bigint);
drop table ladder.refresh_aside;
