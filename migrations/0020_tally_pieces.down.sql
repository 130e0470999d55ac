drop function if exists ladder.tally_mend(bigint[], bigint[], ladder.tally_rung[]);
drop function if exists ladder.tally_moved(bigint, ladder.tally_rung);
drop table ladder.tally_due;
alter table ladder.tally_cursor drop column last_event;
