alter table ladder.period drop column settle_xid;
alter table ladder.epoch drop column incarnation;
comment on column ladder.entry.metadata is 'The caller''s JSON, at most 2 KiB, byte for byte.';
alter table ladder.job_run drop column runner;
comment on column ladder.job_run.ended_at is 'End; null: it runs, or it died.';
drop index ladder.job_run_job_unended_idx, ladder.job_run_job_idle_idx;
