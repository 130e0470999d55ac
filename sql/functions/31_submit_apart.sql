-- submit_apart: a batch that ladder.submit could not take, taken without the submissions that it failed for.
--
-- An error of PostgreSQL undoes the whole transaction, and with it the submissions of everybody who shares the batch. submit_apart
-- finds the submissions that raise the error, each in a subtransaction, and takes all others as ladder.submit would have taken the
-- batch without them: in the same order, with the same instants, in one transaction with one commit. So it does for a batch whose commit
-- was refused: constraints and constraint triggers that are deferred are looked at with each try.
--
--     unit   a submission, or all submissions of one Idempotency-Key
--     part   the units that share a board, in the order of arrival: an error in a part concerns no other part
--
--     1  parts are tried together; where that fails, in two halves, until a part stands alone
--     2  the units of a part that fails likewise, the first half before the second
--     3  the submissions of a unit that fails likewise; its key keeps the answers of all of them (submit_unit)
--
-- Parts have no board in common, so the order among them does not matter; within a part it is kept. The instants of submissions that
-- tell none are drawn before the first try.
--
-- An error that speaks of the server and not of the data (submit_is_passing) goes to the caller, who sends the batch again or answers
-- 503. The time is bounded: after a second, or half of statement_timeout, what is not tried yet has the outcome 12. A part with many
-- errors comes last, so that it uses up its own time.
--
-- outcome: as of ladder.submit; 11 the database refused the submission, and metadata has the SQLSTATE and the message; 12 not tried

-- submit_is_passing: the same list as store_is_passing in the server.
create or replace function ladder.submit_is_passing(p_sqlstate text)
    returns boolean
    language sql
    immutable
    parallel safe
as $$
    select left(p_sqlstate, 2) in ('08', '40', '53', '57', '58') or p_sqlstate in ('25006', '26000', '55P03')
$$;
comment on function ladder.submit_is_passing(text) is 'Does an SQLSTATE speak of the server, and not of the data?';

create or replace function ladder.submit_refused(p_items integer[], p_outcome integer, p_why text)
    returns ladder.submit_result[]
    language sql
    immutable
as $$
    select array_agg(row(i, null, null, p_outcome, null, null, null, null, p_why, null, null, null, null, null)::ladder.submit_result)
    from unnest(p_items) i
$$;
comment on function ladder.submit_refused(integer[], integer, text) is 'The answer for submissions that were not taken.';

-- submit_try: ladder.submit for some items of a batch, undone if it fails. results has their numbers in the whole batch; it is null, and
-- why has the SQLSTATE and the message, after an error of the data.
create or replace function ladder.submit_try(b ladder.submit_batch, p_items integer[], p_with_claims boolean,
                                             out results ladder.submit_result[], out why text)
    language plpgsql
    set search_path = pg_catalog
    set jit = off
as $$
declare
    v_claims integer[] := array(select distinct b.claim[i] from unnest(p_items) i where b.claim[i] > 0 and p_with_claims order by 1);
    v_state text;
    v_message text;
begin
    results := array(
        select row(p_items[s.item], s.window_kind, s.period_id, s.outcome, s.revision, s.k1, s.k2, s.k3, s.metadata, s.old_k1, s.old_k2, s.old_k3,
                   s.period_start_us, s.facet)::ladder.submit_result
        from ladder.submit(
            array(select b.board[i] from unnest(p_items) with ordinality as x (i, n) order by n),
            array(select b.player[i] from unnest(p_items) with ordinality as x (i, n) order by n),
            array(select b.score[i] from unnest(p_items) with ordinality as x (i, n) order by n),
            array(select b.subscore[i] from unnest(p_items) with ordinality as x (i, n) order by n),
            array(select b.achieved_us[i] from unnest(p_items) with ordinality as x (i, n) order by n),
            array(select b.metadata[i] from unnest(p_items) with ordinality as x (i, n) order by n),
            array(select b.round[i] from unnest(p_items) with ordinality as x (i, n) order by n),
            array(select coalesce(array_position(v_claims, b.claim[i]), 0) from unnest(p_items) with ordinality as x (i, n) order by n),
            array(select b.claim_game[c] from unnest(v_claims) with ordinality as x (c, n) order by n),
            array(select b.claim_key[c] from unnest(v_claims) with ordinality as x (c, n) order by n),
            array(select b.claim_hash[c] from unnest(v_claims) with ordinality as x (c, n) order by n),
            array(select b.facets[i] from unnest(p_items) with ordinality as x (i, n) where b.facets <> '{}' order by n),
            array(select b.scope[i] from unnest(p_items) with ordinality as x (i, n) where b.scope <> '{}' order by n))
            with ordinality as s (item, window_kind, period_id, outcome, revision, k1, k2, k3, metadata, old_k1, old_k2, old_k3, period_start_us,
                                  facet, nth)
        order by s.nth);
    -- What would be raised by the commit is raised here.
    set constraints all immediate;
    set constraints all deferred;
exception when others then
    get stacked diagnostics v_state = returned_sqlstate, v_message = message_text;
    if ladder.submit_is_passing(v_state) then
        raise;
    end if;
    results := null;
    why := v_state || ' ' || v_message;
end
$$;
comment on function ladder.submit_try(ladder.submit_batch, integer[], boolean) is 'Takes some submissions of a batch, or none of them if that fails.';

-- submit_unit: the submissions of one Idempotency-Key, which failed together. First those that fail are found, and all of that is undone;
-- then the others are taken in one call, which takes the key. If none is left, the key stays unused.
create or replace function ladder.submit_unit(b ladder.submit_batch, p_items integer[], p_until timestamptz)
    returns ladder.submit_result[]
    language plpgsql
    set search_path = pg_catalog
    set jit = off
as $$
declare
    v_stack text[] := array[p_items::text];
    v_items integer[];
    v_half integer;
    v_bad integer[] := '{}';
    v_is_late boolean := false;
    v_try record;
    v_results ladder.submit_result[] := '{}';
begin
    begin
        while cardinality(v_stack) > 0 loop
            v_items := v_stack[cardinality(v_stack)]::integer[];
            v_stack := v_stack[:cardinality(v_stack) - 1];
            v_is_late := clock_timestamp() > p_until;
            exit when v_is_late;
            v_try := ladder.submit_try(b, v_items, false);
            continue when v_try.results is not null;
            v_half := cardinality(v_items) / 2;
            if v_half = 0 then
                v_bad := v_bad || v_items;
                v_results := v_results || ladder.submit_refused(v_items, 11, v_try.why);
            else
                v_stack := v_stack || v_items[v_half + 1:]::text || v_items[:v_half]::text;
            end if;
        end loop;
        raise exception 'undone' using errcode = 'LD002';
    exception when sqlstate 'LD002' then
        null;
    end;
    if v_is_late then
        return ladder.submit_refused(p_items, 12, null);
    end if;
    v_items := array(select i from unnest(p_items) i where i <> all (v_bad) order by i);
    if v_items = '{}' then
        return v_results;
    end if;
    v_try := ladder.submit_try(b, v_items, true);
    if v_try.results is null then
        return ladder.submit_refused(p_items, 11, v_try.why);
    end if;
    v_results := v_try.results || v_results;
    update ladder.idempotency_key k
    set outcome = (select json_agg(json_build_object(
                              'item', x.item - p_items[1] + 1, 'window_kind', x.window_kind, 'period_id', x.period_id, 'outcome', x.outcome,
                              'k1', x.k1, 'k2', x.k2, 'k3', x.k3, 'metadata', x.metadata,
                              'old_k1', x.old_k1, 'old_k2', x.old_k2, 'old_k3', x.old_k3, 'period_start_us', x.period_start_us,
                              'facet', x.facet)
                              order by x.item, x.facet is not null, x.nth)
                   from unnest(v_results) with ordinality as x (item, window_kind, period_id, outcome, revision, k1, k2, k3, metadata, old_k1, old_k2,
                                                                old_k3, period_start_us, facet, nth)
                   where x.outcome <> 5)
    where k.game_id = b.claim_game[b.claim[p_items[1]]]
      and k.key = b.claim_key[b.claim[p_items[1]]]
      and not exists (select from unnest(v_results) x where x.outcome = 6);
    return v_results;
end
$$;
comment on function ladder.submit_unit(ladder.submit_batch, integer[], timestamptz) is 'Takes the submissions of an Idempotency-Key without those that fail.';

create or replace function ladder.submit_apart(
    p_board bigint[], p_player text[], p_score bigint[], p_subscore bigint[], p_achieved_us bigint[],
    p_metadata text[], p_round integer[], p_claim integer[],
    p_claim_game bigint[], p_claim_key bytea[], p_claim_hash bytea[], p_facets text[] default '{}', p_scope integer[] default '{}')
    returns setof ladder.submit_result
    language plpgsql
    set search_path = pg_catalog
    set jit = off
as $$
declare
    v_now timestamptz := clock_timestamp();
    v_until timestamptz;
    b ladder.submit_batch;
    v_part bigint[];  -- of each item: its board; 0, if an Idempotency-Key ties the board to another
    v_unit integer[]; -- of each item: the first item of its unit
    v_tied bigint[];
    v_queue text[];   -- arrays of items: what was tried and failed; parts first, each once
    v_parts text[] := '{}'; -- those that fail alone
    v_stack text[];   -- arrays of items of one part, the next one last
    v_next text;
    v_items integer[];
    v_keys bigint[];
    v_half integer;
    v_is_tried boolean := true; -- by the caller
    v_try record;
    v_results ladder.submit_result[] := '{}';
begin
    perform ladder.write_begin(); -- an undone subtransaction lets go of the lock that it took
    v_until := v_now + case when current_setting('statement_timeout')::interval = '0' then interval '1 s'
                            else least(interval '1 s', current_setting('statement_timeout')::interval / 2) end;
    b := row(p_board, p_player, p_score, p_subscore,
             array(select coalesce(i.us, ladder.us_of(v_now) - cardinality(p_board) + i.item)
                   from unnest(p_achieved_us) with ordinality as i (us, item) order by i.item),
             p_metadata, p_round, p_claim, p_claim_game, p_claim_key, p_claim_hash, p_facets, p_scope);
    v_unit := array(select case when i.claim = 0 then i.item else min(i.item) over (partition by i.claim) end
                    from unnest(p_claim) with ordinality as i (claim, item) order by i.item);
    v_tied := array(select distinct unnest(x.boards)
                    from (select array_agg(distinct p_board[i.item]) as boards
                          from unnest(p_claim) with ordinality as i (claim, item)
                          where i.claim > 0
                          group by i.claim) x
                    where cardinality(x.boards) > 1);
    v_part := array(select case when i.id = any (v_tied) then 0 else i.id end from unnest(p_board) with ordinality as i (id, item) order by i.item);

    v_queue := array[array(select generate_subscripts(p_board, 1))::text];
    while cardinality(v_queue) > 0 loop
        v_items := v_queue[1]::integer[];
        v_queue := v_queue[2:];
        if clock_timestamp() > v_until then
            v_results := v_results || ladder.submit_refused(v_items, 12, null);
            continue;
        end if;
        if not v_is_tried then
            v_try := ladder.submit_try(b, v_items, true);
            if v_try.results is not null then
                v_results := v_results || v_try.results;
                continue;
            end if;
        end if;
        v_is_tried := false;
        v_keys := array(select distinct v_part[i] from unnest(v_items) i order by 1);
        v_half := cardinality(v_keys) / 2;
        if v_half = 0 then
            v_parts := v_parts || v_items::text;
        else
            v_queue := v_queue || array(select i from unnest(v_items) i where v_part[i] = any (v_keys[:v_half]) order by i)::text
                               || array(select i from unnest(v_items) i where v_part[i] = any (v_keys[v_half + 1:]) order by i)::text;
        end if;
    end loop;

    for v_next in select x from unnest(v_parts) x order by cardinality(x::integer[]) loop
        v_stack := array[v_next];
        v_is_tried := true;
        while cardinality(v_stack) > 0 loop
            v_items := v_stack[cardinality(v_stack)]::integer[];
            v_stack := v_stack[:cardinality(v_stack) - 1];
            v_keys := array(select distinct v_unit[i]::bigint from unnest(v_items) i order by 1);
            v_half := cardinality(v_keys) / 2;
            if clock_timestamp() > v_until then
                v_results := v_results || ladder.submit_refused(v_items, 12, null);
            elsif v_half = 0 and cardinality(v_items) > 1 then
                v_results := v_results || ladder.submit_unit(b, v_items, v_until);
            else
                if not v_is_tried or v_half = 0 then
                    v_try := ladder.submit_try(b, v_items, true);
                    if v_try.results is not null then
                        v_results := v_results || v_try.results;
                        continue;
                    end if;
                end if;
                v_is_tried := false;
                if v_half = 0 then
                    v_results := v_results || ladder.submit_refused(v_items, 11, v_try.why);
                else
                    v_stack := v_stack || array(select i from unnest(v_items) i where v_unit[i] = any (v_keys[v_half + 1:]) order by i)::text
                                       || array(select i from unnest(v_items) i where v_unit[i] = any (v_keys[:v_half]) order by i)::text;
                end if;
            end if;
        end loop;
    end loop;

    return query
    select q.item, q.window_kind, q.period_id, q.outcome, q.revision, q.k1, q.k2, q.k3, q.metadata, q.old_k1, q.old_k2, q.old_k3,
           q.period_start_us, q.facet
    from unnest(v_results) with ordinality as q (item, window_kind, period_id, outcome, revision, k1, k2, k3, metadata, old_k1, old_k2, old_k3,
                                                 period_start_us, facet, nth)
    order by q.facet is not null, q.item, q.nth;
end
$$;
comment on function ladder.submit_apart(bigint[], text[], bigint[], bigint[], bigint[], text[], integer[], integer[], bigint[], bytea[], bytea[], text[], integer[])
    is 'Takes a batch without the submissions that the database refuses, and answers for each of them.';
