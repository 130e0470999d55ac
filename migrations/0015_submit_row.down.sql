-- The functions that use the types go with them; migrating up applies them again.
drop function if exists ladder.facet_mirror(integer[], bigint[], text[], text[], integer[], integer[], bigint[]);
drop type ladder.submit_row, ladder.submit_place;
comment on type ladder.facet_row is 'An entry in the standing of a facet''s value, as facet_mirror left it.';
