alter table ladder.score_event drop column facets;
