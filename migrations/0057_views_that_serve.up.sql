-- What the readers of materialized views need: which days changed since a refresh, when a player of a closed period was erased, how
-- large and how dear the last refresh was; and the views that nobody reads are gone (docs/decisions/0110).
--
-- Locks: tally_day, final_gap and tally_player against writes while an index of each is built; refresh_state for a moment. Columns with
-- a constant default, so no table is written again. Old binaries: go on; their refreshes fill the views that are left.
-- Undo by hand: 0057_views_that_serve.down.sql.
alter table ladder.tally_day add column changed_v bigint not null default 0;
comment on column ladder.tally_day.changed_v is 'Number of the fold that changed the row last, as in refresh_mark; 0: before there were such numbers.';
create index tally_day_board_id_changed_v_idx on ladder.tally_day (board_id, changed_v);
comment on index ladder.tally_day_board_id_changed_v_idx is 'game_activity: the days that changed since a refresh.';

create index tally_player_player_idx on ladder.tally_player (player, board_id);
comment on index ladder.tally_player_player_idx is 'player_activity: the boards that a player submitted to.';

alter table ladder.final_gap add column at timestamptz not null default '-infinity';
alter table ladder.final_gap alter column at set default now();
comment on column ladder.final_gap.at is 'When the player was erased; -infinity: before this was noted.';
create index final_gap_at_idx on ladder.final_gap (at);
comment on index ladder.final_gap_at_idx is 'fame_changed: closed periods from which somebody was erased lately.';

alter table ladder.refresh_state
    add column rows bigint not null default 0,
    add column took_ms bigint not null default 0;
comment on column ladder.refresh_state.rows is 'Rows after the last good refresh. 0: the interval is not waited for, so that the first data shows at once.';
comment on column ladder.refresh_state.took_ms is 'How long the last good refresh took, gathering included: the next one begins no sooner than twenty times that after it.';

drop materialized view if exists ladder.rank_ladder;
drop materialized view if exists ladder.standing_statistics;
drop materialized view if exists ladder.standing_histogram;
delete from ladder.refresh_state where view in ('rank_ladder', 'standing_statistics', 'standing_histogram');
delete from ladder.refresh_source where view in ('rank_ladder', 'standing_statistics', 'standing_histogram');
