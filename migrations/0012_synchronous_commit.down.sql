-- Forgets what boards asked for.
alter table ladder.board drop column synchronous_commit;
