-- What each player did in a game and his best rank, gathered piece by piece, for the view player_total.
--
-- Locks: refresh_state for a moment; two columns without a stored value. Old binaries: go on; their refreshes show what was gathered
-- last.
-- Undo by hand: 0013_player_rollup.down.sql.
create table ladder.player_rollup (
    game_id      bigint      not null,
    player       text        not null collate "C",
    boards       bigint      not null,
    submissions  bigint      not null,
    improvements bigint      not null,
    first_at     timestamptz not null,
    last_at      timestamptz not null,
    best_rank    bigint,
    constraint player_rollup_pk primary key (game_id, player),
    constraint player_rollup_game_id_fk foreign key (game_id) references ladder.game (id) on delete cascade
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
comment on table ladder.player_rollup is 'What each player did in a game, and his best rank, as of refresh_state.gathered_at or later: it is written a part at a time.';
comment on column ladder.player_rollup.game_id is 'The game.';
comment on column ladder.player_rollup.player is 'The player.';
comment on column ladder.player_rollup.boards is 'Boards with a submission of the player.';
comment on column ladder.player_rollup.submissions is 'Submissions.';
comment on column ladder.player_rollup.improvements is 'Those that changed an entry.';
comment on column ladder.player_rollup.first_at is 'The earliest moment that one speaks of.';
comment on column ladder.player_rollup.last_at is 'The latest.';
comment on column ladder.player_rollup.best_rank is 'The best place in a standing of all time; null: in none.';
comment on constraint player_rollup_pk on ladder.player_rollup is 'A player of a game; in the order in which they are gathered.';
comment on constraint player_rollup_game_id_fk on ladder.player_rollup is 'Goes with its game.';

alter table ladder.refresh_state
    add column gathered_v bigint,
    add column gathered_at timestamptz;
comment on column ladder.refresh_state.gathered_v is 'source_v before the rollup of the view was gathered last; null: the view has none.';
comment on column ladder.refresh_state.gathered_at is 'Everything up to here is in the rollup, as of tally_cursor.';
