-- How old an answer of a board may be, and what the edges must be told.
--
-- Locks: ladder.board for a moment; constants as defaults, so no table is written again. Old binaries: go on; they write
-- the defaults.
-- Undo by hand: 0005_board_caching.down.sql.
alter table ladder.board
    add column max_staleness_ms         integer not null default 0,
    add column max_age_s                integer not null default 0,
    add column stale_while_revalidate_s integer not null default 0,
    add column stale_if_error_s         integer not null default 0,
    add column edge_max_age_s           integer not null default 0,
    add constraint board_max_staleness_ms_ck check (max_staleness_ms between 0 and 3600000),
    add constraint board_max_age_s_ck check (max_age_s between 0 and 31536000),
    add constraint board_stale_while_revalidate_s_ck check (stale_while_revalidate_s between 0 and 31536000),
    add constraint board_stale_if_error_s_ck check (stale_if_error_s between 0 and 31536000),
    add constraint board_edge_max_age_s_ck check (edge_max_age_s between 0 and 31536000);
comment on column ladder.board.max_staleness_ms is 'How old an answer from a server''s own memory may be, in milliseconds; 0: never older than the newest change.';
comment on column ladder.board.max_age_s is 'How long any HTTP cache may use an answer without asking again, in seconds.';
comment on column ladder.board.stale_while_revalidate_s is 'How long after that it may still be used while a new one is fetched, in seconds.';
comment on column ladder.board.stale_if_error_s is 'How long after that it may still be used when the server does not answer, in seconds.';
comment on column ladder.board.edge_max_age_s is 'How long an edge that is told of changes may use an answer without asking again, in seconds.';
comment on column ladder.board.updated_at is 'When its definition last changed. Grows with every change, so it also is the version that If-Match compares.';

create table ladder.edge_purge (
    id         bigint      not null generated always as identity,
    game       text        not null collate "C",
    board      text        not null collate "C",
    created_at timestamptz not null default now(),
    constraint edge_purge_id_pk primary key (id)
);
comment on table ladder.edge_purge is 'Boards whose definition changed or that were deleted: written with the change, taken by the worker, which tells the edges.';
comment on column ladder.edge_purge.id is 'Counts up, with gaps.';
comment on column ladder.edge_purge.game is 'Name of the game.';
comment on column ladder.edge_purge.board is 'Name of the board.';
comment on column ladder.edge_purge.created_at is 'When it changed.';
