-- The functions that use facet_row go with it; migrating up applies them again.
drop function if exists ladder.facet_mirror(integer[], bigint[], text[], text[], integer[], integer[], bigint[]);
comment on type ladder.submit_row is 'An entry as a submission left it: of the whole board (facet null) or of a facet''s value, as facet_mirror left it.';
comment on type ladder.facet_row is 'What facet_mirror returned before there was submit_row.';
