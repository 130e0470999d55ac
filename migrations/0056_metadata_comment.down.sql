comment on column ladder.entry.metadata is 'The caller''s JSON object, at most 2 KiB as compact text, which is how it is kept and given back.';
