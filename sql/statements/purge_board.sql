-- The board's periods, facets, its imports and itself, when they are empty.
-- $1 board
select ladder.purge_board($1::bigint)
