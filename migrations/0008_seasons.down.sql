drop table ladder.combination_source, ladder.combination, ladder.snapshot_run, ladder.standing_snapshot, ladder.webhook_delivery, ladder.webhook,
    ladder.final_gap, ladder.final_rank;
drop function if exists ladder.combination_put(bigint, bigint, ladder.combination_rule, text[], bigint[]);
drop type ladder.combination_rule;
drop index ladder.period_closing_idx;
alter table ladder.period drop column final_count;
