-- Boards that a materialized view lacks, because reading their rows raises an error (docs/decisions/0114).
--
-- Locks: creates new objects. Old binaries: go on; their refreshes fail for all boards if one raises. Undo by hand:
-- 0058_refresh_aside.down.sql.
create table ladder.refresh_aside (
    view     text        not null,
    board_id bigint      not null,
    since    timestamptz not null default now(),
    as_of    timestamptz,
    is_over  boolean     not null default false,
    constraint refresh_aside_pk primary key (view, board_id)
);
comment on table ladder.refresh_aside is 'Boards that a materialized view lacks, because reading their rows raises an error. ladder.job_item (job refresh) has the error, and when they are read again.';
comment on constraint refresh_aside_pk on ladder.refresh_aside is 'One row for a view and a board.';
comment on column ladder.refresh_aside.view is 'The view.';
comment on column ladder.refresh_aside.board_id is 'The board. player_total: the rollup of the board''s game is not updated.';
comment on column ladder.refresh_aside.since is 'Since when.';
comment on column ladder.refresh_aside.as_of is 'player_total: up to when the rows of the board''s game are exact; null: it has none.';
comment on column ladder.refresh_aside.is_over is 'player_total: the rollup was updated again; the next refresh of the view deletes the row.';
