-- What the jobs must look at, and what they fail for (ladder.job_item).
--
--     board made or changed  --(trigger)-->  due now  --(the job looks)-->  due when its next period, or midnight, comes
--     its source changed     ----------->  the job combine looks at a board that is made of others, and takes the row away
--     a job fails for a board  -->  it is left out for 5 s, 10 s, 20 s … 5 min, while the job goes on with the others

create or replace function ladder.board_due()
    returns trigger
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    insert into ladder.job_item (job, item_id)
    values ('roll', new.id), ('snapshot', new.id)
    on conflict (job, item_id) do update set due_at = excluded.due_at;
    if new.deleted_at is not null then
        insert into ladder.job_item (job, item_id)
        select 'combine', s.board_id
        from ladder.combination_source s
        where s.source_id = new.id
        order by s.board_id
        on conflict (job, item_id) do nothing;
    end if;
    return null;
end
$$;
comment on function ladder.board_due() is 'Has the jobs look at a board that was made or changed.';
create or replace trigger board_due
    after insert or update of windows, time_zone, created_at, deleted_at on ladder.board
    for each row execute function ladder.board_due();
comment on trigger board_due on ladder.board is 'Has the jobs look at a board that was made or changed.';

-- job_failed: notes that a job failed for a board; returns how many times in a row.
create or replace function ladder.job_failed(p_job text, p_item bigint, p_error text)
    returns integer
    language sql
    set search_path = pg_catalog
as $$
    insert into ladder.job_item as q (job, item_id, due_at, failures, failed_at, failing_since, error)
    values (p_job, p_item, clock_timestamp() + interval '5 s', 1, clock_timestamp(), clock_timestamp(), p_error)
    on conflict (job, item_id) do update
        set failures = q.failures + 1, failed_at = clock_timestamp(), failing_since = coalesce(q.failing_since, clock_timestamp()), error = excluded.error,
            due_at = clock_timestamp() + least(interval '5 min', interval '5 s' * power(2, least(q.failures, 6)))
    returning failures
$$;
comment on function ladder.job_failed(text, bigint, text) is 'Notes that a job failed for a board, and puts its next attempt off.';

-- job_waits: is the board left out by the job for now?
create or replace function ladder.job_waits(p_job text, p_item bigint)
    returns boolean
    language sql
    stable
as $$
    select exists (select from ladder.job_item j where j.job = p_job and j.item_id = p_item and j.failures > 0 and j.due_at > now())
$$;
comment on function ladder.job_waits(text, bigint) is 'Has the job failed for the board, and is the next attempt not due?';
