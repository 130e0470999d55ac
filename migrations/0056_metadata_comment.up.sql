comment on column ladder.entry.metadata is 'The caller''s JSON value, at most 2 KiB as compact text; kept and given back byte for byte.';
