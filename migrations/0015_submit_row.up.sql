-- The rows that submit works with: a type for an entry as a submission left it, and one for a place where submissions count.
--
-- Locks: creates new objects only. Old binaries: go on; they call the functions, which replace what they return row by row as before.
-- facet_row stays for a call of the old functions that is under way; nothing else uses it from here on.
-- Undo by hand: 0015_submit_row.down.sql.
create type ladder.submit_row as (
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
comment on type ladder.submit_row is 'An entry as a submission left it: of the whole board (facet null) or of a facet''s value, as facet_mirror left it.';
comment on type ladder.facet_row is 'What facet_mirror returned before there was submit_row.';

create type ladder.submit_place as (
    board_id     bigint,
    slot         bigint,
    window_index integer,
    window_kind  ladder.window_kind,
    period_id    bigint,
    starts_at    timestamptz,
    state        ladder.period_state,
    operator     ladder.score_operator,
    ordering     ladder.score_order,
    tie          ladder.tie_rule,
    score_min    bigint,
    score_max    bigint
);
comment on type ladder.submit_place is 'Where the submissions of a board and a slot of time count: one of its periods, and the rules of the board.';
