-- The rows of facets are those of whole boards too: submit works with one type.
--
-- Locks: none but of the types' comments. Old binaries: go on. submit_row stays for calls of the old functions that are under way; a
-- later migration drops it.
-- Undo by hand: 0016_facet_row.down.sql.
comment on type ladder.facet_row is 'An entry as a submission left it: of the whole board (facet null), or of a facet''s value.';
comment on type ladder.submit_row is 'What submit worked with before it took facet_row.';
