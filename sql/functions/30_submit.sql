-- submit: a batch of submissions, in one transaction, each with its own exact result.
--
-- The arrays are parallel, one element a submission, in the order of arrival. A (board, player) may occur
-- once a round: the caller numbers repeats 0, 1, 2, … so that they apply one after the other.
--
-- First the batch's boards and their periods are looked up, once for all that share them. Then each round is one set-based statement:
--
--     input x places (one a window) -> the entry as it is -> judged -> upsert
--
-- What does not improve is decided from the snapshot and touches no row. What does is upserted in key order
-- (no two transactions wait for each other in a circle), guarded by the revision that the decision was made
-- from: if another transaction changed the row in between, the upsert locks it but changes nothing, and the
-- second pass decides again from the row, which nobody else can change any more. So the previous state that
-- is returned is the one that was replaced, whatever else runs.
--
-- I1 (of the protocol with Redis): revision is drawn in DO UPDATE's SET, which runs under the row's lock, so a row's
-- revisions increase in commit order; and the event that tells the tail is inserted by the same transaction.
--
-- One clock says when a submission came, and so in which period it counts: this database's, when it takes the batch, whatever
-- the servers' clocks show. Where it is told (an import's `at`), p_achieved_us has it; null is now, in the order of arrival.
--
-- A submission that a window refuses (overflow) is refused whole. A window whose period is closed is passed over; if all are, the
-- submission is refused, and a strict one if any is.
--
-- In the pause of a schedule its window is as one whose period is closed; starts_at is null then.
--
-- p_scope: for each submission which windows it is meant for and whether it is strict: bit 0 all, 1 monthly, 2 weekly, 3 daily, 4 hourly,
-- 6 to 9 scheduled_1 to scheduled_4 (none: every window of the board), 5 strict; empty or null: every window, not strict.
--
-- p_facets: the facets that a submission names, as JSON, or null; empty: none of them names any. On a board that declares
-- facets each round is mirrored into their standings (25_facet.sql): those entries follow the windows' in the answer, with
-- `facet` as "country:BR"; without k1, and `facet` empty, the player left that standing.
--
-- outcome: -2 the period is closed and other windows took it, 0 unchanged, 1 changed, 2 out of range, 3 overflow, 4 period closed, 5 no such board, 6 repeated key, 7 made of others,
-- 8 too many values of a facet, 9 no such facet, 10 no period: the board's time zone has none that holds the instant
drop function if exists ladder.submit(bigint[], text[], bigint[], bigint[], bigint[], text[], integer[], integer[], bigint[], bytea[], bytea[]);
drop function if exists ladder.submit(bigint[], text[], bigint[], bigint[], bigint[], text[], integer[], integer[], bigint[], bytea[], bytea[], text[]);
create or replace function ladder.submit(
    p_board bigint[], p_player text[], p_score bigint[], p_subscore bigint[], p_achieved_us bigint[],
    p_metadata text[], p_round integer[], p_claim integer[],
    p_claim_game bigint[], p_claim_key bytea[], p_claim_hash bytea[], p_facets text[] default '{}', p_scope integer[] default '{}')
    returns table (item integer, window_kind ladder.window_kind, period_id bigint, outcome smallint, revision bigint,
                   k1 bigint, k2 bigint, k3 bigint, metadata text, old_k1 bigint, old_k2 bigint, old_k3 bigint,
                   period_start_us bigint, facet text)
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_nestloop = off -- but for the lateral look-ups by key, which know no other way
    set enable_mergejoin = off
    set enable_seqscan = off
    set jit = off
as $$
#variable_conflict use_column
declare
    v_round_max integer := (select coalesce(max(r), 0) from unnest(p_round) r);
    v_now bigint;
    v_repeated integer[] := '{}';
    v_refused integer[] := '{}';
    -- Where the batch's submissions count. Instants that share a slot share their periods.
    v_slot_us bigint := 900000000;
    v_places ladder.submit_place[];
    v_kinds ladder.window_kind[]; v_starts_min timestamptz; v_starts_max timestamptz; -- of windows that end: which partitions
    v_boards_lacking bigint[]; v_lacking_at timestamptz[]; v_is_split boolean;
    v_has_facets boolean;
    v_pass integer;
    -- The open results of a round: (item, window index) pairs that lost a race and are decided again.
    v_again_items integer[];
    v_again_windows integer[];
    v_rows ladder.facet_row[];
    v_has_raced boolean; v_is_refused boolean;
    v_results ladder.facet_row[] := '{}';
begin
    perform ladder.write_begin(); -- before any look at a period's state

    -- Lock class 1: idempotency keys, in order. A key that exists takes its submissions out of the batch; of a key that is
    -- here twice, the first has it.
    if cardinality(p_claim_key) > 0 then
        with made as (
            insert into ladder.idempotency_key (game_id, key, request_hash, backend_at)
            select c.game_id, c.key, c.hash, ladder.backend_started_at()
            from unnest(p_claim_game, p_claim_key, p_claim_hash) with ordinality as c (game_id, key, hash, claim)
            order by c.game_id, c.key, c.claim
            on conflict do nothing
            returning game_id, key
        )
        select coalesce(array_agg(c.claim::integer), '{}') into v_repeated
        from (select x.*, row_number() over (partition by x.game_id, x.key order by x.claim) as nth
              from unnest(p_claim_game, p_claim_key) with ordinality as x (game_id, key, claim)) c
        where c.nth > 1
           or not exists (select from made m where m.game_id = c.game_id and m.key = c.key);
    end if;

    -- Taken after the wait for idempotency keys of other batches: the worker must not close the period of this instant in the meantime.
    if array_position(p_achieved_us, null) is not null then
        v_now := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
        -- Not one later than now: a microsecond apart, so that among equals the first is the first.
        p_achieved_us := (select array_agg(coalesce(i.us, v_now - cardinality(p_achieved_us) + i.item) order by i.item)
                          from unnest(p_achieved_us) with ordinality as i (us, item));
    end if;

    -- Lock class 2: periods. Made now, those that are missing can't be waited for by somebody whose entries are locked here.
    -- A slot is a quarter of an hour; where a zone of long ago divides one, each instant is looked up by itself.
    for v_pass in 1..4 loop
        select array_agg(row(x.board_id, x.slot, w.ordinality, w.kind, p.id, case p.state when 'pause' then null else p.starts_at end, p.state,
                             b.operator, b.ordering, b.tie, b.score_min, b.score_max)::ladder.submit_place),
               array_agg(distinct w.kind) filter (where w.kind <> 'all'),
               min(p.starts_at) filter (where w.kind <> 'all'), max(p.starts_at) filter (where w.kind <> 'all'),
               array_agg(b.id) filter (where p.id is null), array_agg(ladder.time_of(x.first_us)) filter (where p.id is null),
               bool_or(p.ends_at <= ladder.time_of(x.last_us)), coalesce(bool_or(b.facet_ids <> '{}'), false)
        into v_places, v_kinds, v_starts_min, v_starts_max, v_boards_lacking, v_lacking_at, v_is_split, v_has_facets
        from (select i.board_id, i.achieved_us / v_slot_us as slot, min(i.achieved_us) as first_us, max(i.achieved_us) as last_us
              from unnest(p_board, p_achieved_us, p_claim) as i (board_id, achieved_us, claim)
              where i.claim <> all (v_repeated)
              group by 1, 2) x
        cross join lateral (select q.* from ladder.board q where q.id = x.board_id offset 0) b
        cross join lateral unnest(b.windows) with ordinality as w (kind, ordinality)
        left join lateral ladder.period_of(b.id, w.kind, ladder.time_of(x.first_us)) p on true
        where b.deleted_at is null
          and not exists (select from ladder.combination c where c.board_id = b.id);
        -- What lacks its period after that many attempts is refused by itself.
        exit when v_boards_lacking is null and v_is_split is not true or v_pass = 4;
        if v_is_split then
            v_slot_us := 1;
        end if;
        perform ladder.period_ensure(v_boards_lacking, v_lacking_at);
    end loop;

    -- Lock class 2 too: values of facets.
    if cardinality(p_facets) > 0 then
        v_results := array(select row(a.item, 1, null, null, a.outcome, null, null, null, null, null, null, null, null, null, null)::ladder.facet_row
                           from ladder.facet_admit(p_board, p_facets) a
                           where p_claim[a.item] <> all (v_repeated));
        v_refused := array(select r.item from unnest(v_results) r);
    end if;

    -- Lock class 3: entries. With repeats in the batch, a later round may lock what an earlier one left alone:
    -- take all that exist first, in order.
    if v_round_max > 0 then
        perform 1
        from (select distinct p.period_id, i.player collate "C" as player, p.window_kind, p.starts_at
              from unnest(p_board, p_player, p_achieved_us) as i (board_id, player, achieved_us)
              join unnest(v_places) p on p.board_id = i.board_id and p.slot = i.achieved_us / v_slot_us
              order by 1, 2
              offset 0) t
        cross join lateral (select from ladder.entry e
                            where e.period_id = t.period_id and e.player = t.player collate "C"
                              and e.window_kind = t.window_kind and e.period_start = t.starts_at
                            for update) locked;
    end if;

    for v_round in 0..v_round_max loop
        v_again_items := null;
        v_again_windows := null;
        v_has_raced := false;
        for v_pass in 1..4 loop
            with target as (
                select i.item::integer, i.player collate "C" as player, i.metadata, i.score, i.subscore,
                       p.window_index, p.window_kind, p.period_id, p.starts_at, p.state, p.operator, p.ordering, p.score_min, p.score_max,
                       case p.ordering when 'desc' then ~i.score else i.score end as k1,
                       case p.ordering when 'desc' then ~i.subscore else i.subscore end as k2,
                       case p.tie when 'last' then ~i.achieved_us else i.achieved_us end as k3,
                       e.k1 as old_k1, e.k2 as old_k2, e.k3 as old_k3, e.metadata::text as old_metadata, e.revision as old_revision,
                       e.removed is false as is_old
                from unnest(p_board, p_player, p_score, p_subscore, p_achieved_us, p_metadata, p_round, p_claim)
                     with ordinality as i (board_id, player, score, subscore, achieved_us, metadata, round, claim, item)
                join unnest(v_places) p on p.board_id = i.board_id and p.slot = i.achieved_us / v_slot_us
                left join lateral (select q.* from ladder.entry_all q
                                   where p.window_kind = 'all' and q.period_id = p.period_id and q.player = i.player collate "C"
                                     and q.window_kind = 'all' and q.period_start = '-infinity'
                                   union all
                                   -- What is said of kinds and starts besides keeps other partitions out of the plan as it begins.
                                   select q.* from ladder.entry q
                                   where q.period_id = p.period_id and q.player = i.player collate "C"
                                     and q.window_kind = p.window_kind and q.period_start = p.starts_at
                                     and q.window_kind in (v_kinds[1], v_kinds[2], v_kinds[3], v_kinds[4], v_kinds[5], v_kinds[6], v_kinds[7], v_kinds[8])
                                     and q.period_start between v_starts_min and v_starts_max
                                   offset 0) e on true
                where i.round = v_round
                  and i.claim <> all (v_repeated)
                  and i.item <> all (v_refused)
                  and (p_scope[i.item] is null or p_scope[i.item] & 991 = 0
                       or p_scope[i.item] & case p.window_kind when 'all' then 1 when 'monthly' then 2 when 'weekly' then 4 when 'daily' then 8
                                            when 'hourly' then 16 when 'scheduled_1' then 64 when 'scheduled_2' then 128
                                            when 'scheduled_3' then 256 else 512 end <> 0)
                  and (v_again_items is null
                       or exists (select from unnest(v_again_items, v_again_windows) as a (item, window_index)
                                  where a.item = i.item and a.window_index = p.window_index))
            ),
            based as (
                select t.*,
                       case when t.operator = 'sum' and t.is_old then case t.ordering when 'desc' then ~t.old_k1 else t.old_k1 end else 0 end as base,
                       case when t.operator = 'sum' and t.is_old then case t.ordering when 'desc' then ~t.old_k2 else t.old_k2 end else 0 end as subbase
                from target t
            ),
            judged as materialized (
                select b.*,
                       case when b.period_id is null then 10
                            when b.state <> 'open' then 4
                            when b.score > 0 and b.base > 9223372036854775807 - b.score
                              or b.score < 0 and b.base < '-9223372036854775808'::bigint - b.score
                              or b.subscore > 0 and b.subbase > 9223372036854775807 - b.subscore
                              or b.subscore < 0 and b.subbase < '-9223372036854775808'::bigint - b.subscore then 3
                            when b.base + b.score not between b.score_min and b.score_max then 2
                            when not b.is_old then 1
                            when b.operator = 'best' then case when (b.k1, b.k2) < (b.old_k1, b.old_k2) then 1 else 0 end
                            when b.operator = 'last' then case when (b.k1, b.k2) <> (b.old_k1, b.old_k2)
                                                                 or b.metadata is distinct from b.old_metadata then 1 else 0 end
                            else case when b.score <> 0 or b.subscore <> 0 then 1 else 0 end
                       end as verdict
                from based b
            ),
            -- One refusal refuses the submission; closed periods do if it is strict, or if there is no other.
            refusal as (
                select j.item, coalesce(max(j.verdict) filter (where j.verdict > 1 and j.verdict <> 4), 4) as verdict
                from judged j
                group by j.item
                having bool_or(j.verdict > 1 and j.verdict <> 4)
                    or bool_and(j.verdict = 4)
                    or bool_or(j.verdict = 4) and coalesce(p_scope[j.item] & 32 <> 0, false)
            ),
            changed as materialized (
                select j.item, j.window_index, j.period_id, j.player, j.window_kind, j.starts_at, j.metadata, j.old_revision,
                       case when j.operator <> 'sum' then j.k1 when j.ordering = 'desc' then ~(j.base + j.score) else j.base + j.score end as k1,
                       case when j.operator <> 'sum' then j.k2 when j.ordering = 'desc' then ~(j.subbase + j.subscore) else j.subbase + j.subscore end as k2,
                       -- The same pair again, with other metadata: reached when it first was.
                       case when j.operator = 'last' and j.is_old and (j.k1, j.k2) = (j.old_k1, j.old_k2) then j.old_k3 else j.k3 end as k3
                from judged j
                where j.verdict = 1
                  and not exists (select from refusal f where f.item = j.item)
            ),
            written as (
                insert into ladder.entry as e (period_id, player, window_kind, period_start, k1, k2, k3, revision, removed, metadata)
                select c.period_id, c.player, c.window_kind, c.starts_at, c.k1, c.k2, c.k3,
                       coalesce(c.old_revision, nextval('ladder.revision')), false, c.metadata::json
                from changed c
                order by c.period_id, c.player
                on conflict (period_id, player, window_kind, period_start) do update
                    set k1 = excluded.k1,
                        k2 = excluded.k2,
                        k3 = excluded.k3,
                        revision = nextval('ladder.revision'),
                        removed = false,
                        metadata = excluded.metadata
                    where e.revision = excluded.revision
                returning e.period_id, e.player, e.revision, e.k1, e.k2, e.k3
            )
            select array_agg(row(
                       j.item, j.window_index, j.window_kind, j.period_id, t.outcome,
                       coalesce(w.revision, j.old_revision),
                       case when w.revision is null then j.old_k1 else w.k1 end,
                       case when w.revision is null then j.old_k2 else w.k2 end,
                       case when w.revision is null then j.old_k3 else w.k3 end,
                       case when w.revision is null then j.old_metadata else j.metadata end,
                       case when j.is_old then j.old_k1 end, case when j.is_old then j.old_k2 end, case when j.is_old then j.old_k3 end,
                       j.starts_at, null)::ladder.facet_row),
                   array_agg(j.item) filter (where t.outcome = -1), array_agg(j.window_index) filter (where t.outcome = -1),
                   bool_or(t.outcome > 1)
            into v_rows, v_again_items, v_again_windows, v_is_refused
            from judged j
            left join refusal f on f.item = j.item
            left join written w on w.period_id = j.period_id and w.player = j.player
            cross join lateral (select case when f.verdict is not null then f.verdict
                                            when j.verdict = 4 then -2
                                            when j.verdict = 0 then 0
                                            when w.revision is null then -1 -- lost a race
                                            else 1 end as outcome) t;

            exit when v_rows is null;
            if v_has_raced and v_is_refused then
                -- One of its windows is written, this one now refuses: the whole batch starts again.
                raise exception 'a submission raced with another' using errcode = 'serialization_failure';
            end if;
            if v_again_items is null then
                v_results := v_results || v_rows;
                exit;
            end if;
            if v_pass = 4 then
                raise exception 'a submission raced with too many others' using errcode = 'serialization_failure';
            end if;
            v_results := v_results || array(select r from unnest(v_rows) r where r.outcome <> -1);
            v_has_raced := true;
        end loop;

        -- Lock class 4: the players' rows in player_facet; below them, their entries in the standings of facets.
        if v_has_facets then
            v_results := v_results || array(
                select m
                from (select array_agg(i.item) as items, array_agg(p_board[i.item]) as boards, array_agg(p_player[i.item]) as players,
                             array_agg(p_facets[i.item]) as facets
                      from (select r.item
                            from unnest(v_results) r
                            where p_round[r.item] = v_round
                            group by r.item
                            having max(r.outcome) <= 1) i) x
                cross join (select array_agg(r.item) as items, array_agg(r.window_index) as windows, array_agg(r.period_id) as periods
                            from unnest(v_results) r
                            where r.facet is null and r.outcome >= 0) y
                cross join lateral ladder.facet_mirror(x.items, x.boards, x.players, x.facets, y.items, y.windows, y.periods) m);
        end if;
    end loop;

    insert into ladder.score_event (board_id, player, score, subscore, achieved_at, period_ids, moves, facets)
    select i.board_id, i.player, i.score, i.subscore, ladder.time_of(i.achieved_us), r.period_ids, r.moves,
           case when v_has_facets then (select f.facets from ladder.player_facet f where f.board_id = i.board_id and f.player = i.player collate "C") end
    from (select x.item, array_agg(x.period_id) filter (where x.outcome = 1) as period_ids,
                 array_agg(array[x.old_k1, x.old_k2, x.old_k3, x.k1, x.k2, x.k3]) filter (where x.outcome = 1) as moves
          from unnest(v_results) x
          where x.facet is null or x.k1 is not null
          group by x.item
          having max(x.outcome) <= 1
          order by x.item) r
    join unnest(p_board, p_player, p_score, p_subscore, p_achieved_us)
         with ordinality as i (board_id, player, score, subscore, achieved_us, item) on i.item = r.item;
    if v_has_facets then
        insert into ladder.score_event (board_id, kind, player, period_ids, moves)
        select p_board[x.item], 'remove', p_player[x.item], array_agg(x.period_id),
               array_agg(array[x.old_k1, x.old_k2, x.old_k3, x.k1, x.k2, x.k3])
        from unnest(v_results) x
        where x.facet is not null and x.k1 is null
        group by x.item;
    end if;

    if cardinality(p_claim_key) > 0 then
        update ladder.idempotency_key k
        set outcome = o.outcome
        from (select c.game_id, c.key,
                     json_agg(json_build_object(
                         'item', x.item - c.first + 1, 'window_kind', x.window_kind, 'period_id', x.period_id, 'outcome', x.outcome,
                         'k1', x.k1, 'k2', x.k2, 'k3', x.k3, 'metadata', x.metadata,
                         'old_k1', x.old_k1, 'old_k2', x.old_k2, 'old_k3', x.old_k3, 'period_start_us', ladder.us_of(x.starts_at),
                         'facet', x.facet)
                         order by x.item, x.facet is not null, x.window_index) as outcome
              from unnest(v_results) x
              join unnest(p_claim) with ordinality as i (claim, item) on i.item = x.item
              join (select c.claim, c.game_id, c.key, (select min(n.item) from unnest(p_claim) with ordinality as n (claim, item)
                                                       where n.claim = c.claim) as first
                    from unnest(p_claim_game, p_claim_key) with ordinality as c (game_id, key, claim)) c on c.claim = i.claim
              group by c.game_id, c.key) o
        where k.game_id = o.game_id and k.key = o.key;
    end if;

    return query
    select x.item, x.window_kind, x.period_id, x.outcome, x.revision, x.k1, x.k2, x.k3, x.metadata,
           x.old_k1, x.old_k2, x.old_k3, ladder.us_of(x.starts_at), x.facet
    from unnest(v_results) x
    order by x.facet is not null, x.item, x.window_index;
    -- Submissions without a row in the answer: their board is gone (5) or made of others (7), or their key was used before (6).
    if (select count(distinct x.item) from unnest(v_results) x) < cardinality(p_board) then
        return query
        select i.item::integer, null::ladder.window_kind, null::bigint,
               case when i.claim = any (v_repeated) then 6
                    when exists (select from ladder.combination c where c.board_id = i.board_id) then 7
                    else 5
               end::smallint, null::bigint,
               null::bigint, null::bigint, null::bigint, null::text, null::bigint, null::bigint, null::bigint, null::bigint, null::text
        from unnest(p_board, p_claim) with ordinality as i (board_id, claim, item)
        where not exists (select from unnest(v_results) x where x.item = i.item);
    end if;
    -- For submit_committed: what others commit from here on this transaction has not seen.
    perform set_config('ladder.submitted', pg_current_snapshot()::text || ' ' || pg_current_xact_id()::text, false);
end
$$;
comment on function ladder.submit(bigint[], text[], bigint[], bigint[], bigint[], text[], integer[], integer[], bigint[], bytea[], bytea[], text[], integer[])
    is 'Takes a batch of submissions in one transaction and returns every entry''s state, before and after.';
