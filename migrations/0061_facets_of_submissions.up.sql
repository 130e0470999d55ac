-- Submissions have the facets of their player, so that statistics of a facet's standing count them.
--
-- Locks: score_event for a moment: a column without a stored value. Old binaries: go on; what they insert, and what was submitted before, is
-- not counted by facet. Undo by hand: 0061_facets_of_submissions.down.sql.
alter table ladder.score_event add column facets text[] collate "C";
comment on column ladder.score_event.facets is 'Of a submission to a board that declares facets: player_facet.facets when its transaction had taken it. Null: of no such board, or from before migration 0061.';
