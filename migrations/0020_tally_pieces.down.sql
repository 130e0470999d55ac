drop table ladder.tally_due;
alter table ladder.tally_cursor drop column last_event;
