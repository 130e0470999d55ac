drop type ladder.submit_place;
comment on type ladder.facet_row is 'An entry in the standing of a facet''s value, as facet_mirror left it.';
