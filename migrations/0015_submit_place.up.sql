-- What submit works with: a type for the places where submissions count. The rows of facets are those of whole boards too.
--
-- Locks: creates a new object only. Old binaries: go on.
-- Undo by hand: 0015_submit_place.down.sql.
comment on type ladder.facet_row is 'An entry as a submission left it: of the whole board (facet null), or of a facet''s value.';

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
