drop function if exists ladder.tally_pair_add(ladder.tally_pair[], boolean);
drop function if exists ladder.pair_deltas(ladder.window_kind, timestamptz, bigint, ladder.tally_pair[]);
drop table ladder.tally_pair_want;
drop table ladder.tally_pair;
