-- Facets: values that split a board (country, clan), each with its own standing.
--
-- A standing of a facet is a further row of ladder.period, so that all that is kept by period (entries, what Redis holds, caches,
-- cursors, the tail) is kept for it too.
--
-- Locks: ladder.board and ladder.period for a moment; constants as defaults, so no table is written again, but period's unique
-- index is built anew. Old binaries: go on, as long as no board declares a facet: they don't know those answers.
-- Undo by hand: 0010_facets.down.sql.
create sequence ladder.facet_id as bigint;
comment on sequence ladder.facet_id is 'Numbers the facets that boards declare: one that is declared again is another.';

alter table ladder.board
    add column facets text[] collate "C" not null default '{}',
    add column facet_ids bigint[] not null default '{}',
    add column facet_values_max integer not null default 10000,
    add constraint board_facets_ck check (cardinality(facets) <= 4 and cardinality(facets) = cardinality(facet_ids)),
    add constraint board_facet_values_max_ck check (facet_values_max between 1 and 1000000);
comment on column ladder.board.facets is 'The names of its facets.';
comment on column ladder.board.facet_ids is 'Their numbers, in the same order: what periods and players name.';
comment on column ladder.board.facet_values_max is 'How many different values its facets may have, all together.';

alter table ladder.period
    add column facet text collate "C" not null default '',
    add constraint period_board_id_facet_window_kind_starts_at_uq unique (board_id, facet, window_kind, starts_at),
    drop constraint period_board_id_window_kind_starts_at_uq;
create index period_board_id_facet_open_idx on ladder.period (board_id, facet) where state = 'open';
comment on column ladder.period.facet is 'Empty: the standing of the whole board. Else the number of a facet, a colon, and the value whose standing this is.';
comment on index ladder.period_board_id_facet_open_idx is 'What a player who is removed, or whose facet changed, may be in.';

create table ladder.facet_value (
    board_id bigint not null,
    facet    text   not null collate "C",
    constraint facet_value_pk primary key (board_id, facet)
);
comment on table ladder.facet_value is 'The values that the facets of a board have had: how many there may be is limited.';
comment on column ladder.facet_value.board_id is 'The board.';
comment on column ladder.facet_value.facet is 'As in period.';

create table ladder.player_facet (
    board_id bigint not null,
    player   text   not null collate "C",
    facets   text[] not null collate "C",
    past     text[] not null collate "C",
    constraint player_facet_pk primary key (board_id, player)
);
comment on table ladder.player_facet is 'The facets of each player of a board that declares some. Its row''s lock orders all that changes the player''s entries in the standings of facets.';
comment on column ladder.player_facet.board_id is 'The board.';
comment on column ladder.player_facet.player is 'The player.';
comment on column ladder.player_facet.facets is 'What he is in now, as in period; with nothing behind the colon: in none.';
comment on column ladder.player_facet.past is 'All that he was ever in: where entries of his may be.';

create table ladder.facet_drop (
    facet_id   bigint      not null,
    board_id   bigint      not null,
    dropped_at timestamptz not null default now(),
    constraint facet_drop_pk primary key (facet_id)
);
comment on table ladder.facet_drop is 'Facets that boards no longer declare: written with the change of the board, taken by the worker, which purges their standings.';
comment on column ladder.facet_drop.facet_id is 'Its number.';
comment on column ladder.facet_drop.board_id is 'The board.';
comment on column ladder.facet_drop.dropped_at is 'When.';

create type ladder.facet_row as (
    item         integer,
    window_index integer,
    window_kind  ladder.window_kind,
    period_id    bigint,
    outcome      smallint,
    revision     bigint,
    k1           bigint,
    k2           bigint,
    k3           bigint,
    metadata     text,
    old_k1       bigint,
    old_k2       bigint,
    old_k3       bigint,
    starts_at    timestamptz,
    facet        text
);
comment on type ladder.facet_row is 'An entry in the standing of a facet''s value, as facet_mirror left it.';
