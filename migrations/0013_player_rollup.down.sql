-- Forgets what was gathered; the view that shows it goes with it, and comes again with the statistics' next migration.
drop materialized view if exists ladder.player_total;
drop procedure if exists ladder.player_gather(), ladder.refresh_gather(text);
drop function if exists ladder.player_gather_sums(bigint, text);
drop table ladder.player_rollup;
alter table ladder.refresh_state drop column gathered_v, drop column gathered_at;
