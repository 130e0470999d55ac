-- Types for submit_apart: a batch as one value, and a row of the answer of submit.
--
-- Locks: creates new objects only. Old binaries: go on; they do not use them.
-- Undo by hand: 0054_submit_apart.down.sql.
create type ladder.submit_batch as (
    board       bigint[],
    player      text[],
    score       bigint[],
    subscore    bigint[],
    achieved_us bigint[],
    metadata    text[],
    round       integer[],
    claim       integer[],
    claim_game  bigint[],
    claim_key   bytea[],
    claim_hash  bytea[],
    facets      text[],
    scope       integer[]
);
comment on type ladder.submit_batch is 'The arguments of submit.';

create type ladder.submit_result as (
    item            integer,
    window_kind     ladder.window_kind,
    period_id       bigint,
    outcome         smallint,
    revision        bigint,
    k1              bigint,
    k2              bigint,
    k3              bigint,
    metadata        text,
    old_k1          bigint,
    old_k2          bigint,
    old_k3          bigint,
    period_start_us bigint,
    facet           text
);
comment on type ladder.submit_result is 'A row of the answer of submit.';
