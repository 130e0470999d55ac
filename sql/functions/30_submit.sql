-- submit: a batch of submissions, in one transaction, each with its own exact result.
--
-- The arrays are parallel, one element a submission, in the order of arrival. A (board, player) may occur
-- once a round: the caller numbers repeats 0, 1, 2, … so that they apply one after the other.
--
-- Each round is one set-based statement:
--
--     input -> its board -> its periods (one a window) -> the entry as it is -> decided -> upsert
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
-- A submission is refused whole: if one of its windows cannot take it (closed, overflow), none does.
--
-- p_facets: the facets that a submission names, as JSON, or null; empty: none of them names any. On a board that declares
-- facets each round is mirrored into their standings (25_facet.sql): those entries follow the windows' in the answer, with
-- `facet` as "country:BR"; without k1, and `facet` empty, the player left that standing.
--
-- outcome: 0 unchanged, 1 changed, 2 out of range, 3 overflow, 4 period closed, 5 no such board, 6 repeated key, 7 made of others,
-- 8 too many values of a facet, 9 no such facet
drop function if exists ladder.submit(bigint[], text[], bigint[], bigint[], bigint[], text[], integer[], integer[], bigint[], bytea[], bytea[]);
create or replace function ladder.submit(
    p_board bigint[], p_player text[], p_score bigint[], p_subscore bigint[], p_achieved_us bigint[],
    p_metadata text[], p_round integer[], p_claim integer[],
    p_claim_game bigint[], p_claim_key bytea[], p_claim_hash bytea[], p_facets text[] default '{}')
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
    v_now bigint := ladder.us_of(clock_timestamp());
    v_repeated integer[] := '{}';
    v_lacking bigint[]; v_lacking_at timestamptz[];
    v_pass integer;
    -- The open results of a round: (item, window index) pairs that lost a race and are decided again.
    v_again_item integer[];
    v_again_window integer[];
    v_has_raced boolean;
    -- The results so far, parallel arrays.
    r_item integer[] := '{}';    r_kind ladder.window_kind[] := '{}'; r_period bigint[] := '{}';
    r_outcome smallint[] := '{}'; r_revision bigint[] := '{}';
    r_k1 bigint[] := '{}';       r_k2 bigint[] := '{}';               r_k3 bigint[] := '{}';
    r_metadata text[] := '{}';
    r_old1 bigint[] := '{}';     r_old2 bigint[] := '{}';             r_old3 bigint[] := '{}';
    r_window integer[] := '{}';  r_start timestamptz[] := '{}';
    v_refused integer[] := '{}'; v_refusal smallint[];
    v_has_facets boolean;
    v_facet_rows ladder.facet_row[] := '{}';
    s record;
begin
    -- Before any look at a period's state: closing one waits for the transactions that have an id (work/roll.c).
    perform pg_current_xact_id();

    if array_position(p_achieved_us, null) is not null then
        -- Not one later than now: a microsecond apart, so that among equals the first is the first.
        p_achieved_us := (select array_agg(coalesce(i.us, v_now - cardinality(p_achieved_us) + i.item) order by i.item)
                          from unnest(p_achieved_us) with ordinality as i (us, item));
    end if;

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

    -- Lock class 2: periods. Made now, those that are missing can't be waited for by somebody whose entries are locked here.
    -- Instants within a quarter of an hour share their periods; where a zone of long ago disagrees, the rounds make the rest.
    -- (Looked for here, since nearly always none is missing, and a call of period_ensure is planned anew each time.)
    select array_agg(x.board_id), array_agg(ladder.time_of(x.achieved_us)) into v_lacking, v_lacking_at
    from (select distinct on (i.board_id, i.achieved_us / 900000000) i.board_id, i.achieved_us
          from unnest(p_board, p_achieved_us, p_claim) as i (board_id, achieved_us, claim)
          where i.claim <> all (v_repeated)) x
    cross join lateral (select b.id, b.windows from ladder.board b where b.id = x.board_id offset 0) b
    where exists (select
                  from unnest(b.windows) as w (kind)
                  where not exists (select from ladder.period_of(b.id, w.kind, ladder.time_of(x.achieved_us))));
    if v_lacking is not null then
        perform ladder.period_ensure(v_lacking, v_lacking_at);
    end if;

    -- Lock class 2 too: values of facets.
    if cardinality(p_facets) > 0 then
        select coalesce(array_agg(a.item), '{}'), array_agg(a.outcome) into v_refused, v_refusal
        from ladder.facet_admit(p_board, p_facets) a
        where p_claim[a.item] <> all (v_repeated);
        if v_refused <> '{}' then
            r_item := v_refused;                             r_outcome := v_refusal;
            r_window := array_fill(1, array[cardinality(v_refused)]);
            r_kind := array_fill(null::ladder.window_kind, array[cardinality(v_refused)]);
            r_period := array_fill(null::bigint, array[cardinality(v_refused)]);
            r_revision := r_period;
            r_k1 := r_period;   r_k2 := r_period;   r_k3 := r_period;
            r_old1 := r_period; r_old2 := r_period; r_old3 := r_period;
            r_metadata := array_fill(null::text, array[cardinality(v_refused)]);
            r_start := array_fill(null::timestamptz, array[cardinality(v_refused)]);
        end if;
    end if;

    -- Lock class 3: entries. With repeats in the batch, a later round may lock what an earlier one left alone:
    -- take all that exist first, in order.
    if v_round_max > 0 then
        perform 1
        from (select distinct p.id as period_id, i.player collate "C" as player, p.window_kind, p.starts_at
              from unnest(p_board, p_player, p_achieved_us) as i (board_id, player, achieved_us)
              cross join lateral (select b.* from ladder.board b where b.id = i.board_id offset 0) b
              cross join lateral unnest(b.windows) as w (kind)
              cross join lateral ladder.period_of(b.id, w.kind, ladder.time_of(i.achieved_us)) p
              order by 1, 2
              offset 0) t
        cross join lateral (select from ladder.entry e
                            where e.period_id = t.period_id and e.player = t.player collate "C"
                              and e.window_kind = t.window_kind and e.period_start = t.starts_at
                            for update) locked;
    end if;

    for v_round in 0..v_round_max loop
        v_again_item := null;
        v_again_window := null;
        v_has_raced := false;
        v_has_facets := false;
        for v_pass in 1..4 loop
            with input as (
                select i.*, ladder.time_of(i.achieved_us) as achieved_at
                from unnest(p_board, p_player, p_score, p_subscore, p_achieved_us, p_metadata, p_round, p_claim)
                     with ordinality as i (board_id, player, score, subscore, achieved_us, metadata, round, claim, item)
                where i.round = v_round
                  and i.claim <> all (v_repeated)
                  and i.item <> all (v_refused)
                  and (v_again_item is null or i.item = any (v_again_item))
            ),
            target as (
                select i.item::integer, w.ordinality::integer as window_index, w.kind as window_kind,
                       i.player collate "C" as player, i.metadata,
                       b.operator, b.ordering, b.score_min, b.score_max, i.score, i.subscore,
                       case b.ordering when 'desc' then ~i.score else i.score end as k1,
                       case b.ordering when 'desc' then ~i.subscore else i.subscore end as k2,
                       case b.tie when 'last' then ~i.achieved_us else i.achieved_us end as k3,
                       p.id as period_id, p.starts_at, p.state,
                       e.k1 as old_k1, e.k2 as old_k2, e.k3 as old_k3,
                       e.metadata::text as old_metadata, e.revision as old_revision,
                       e.period_id is not null and not e.removed as is_old,
                       b.facet_ids <> '{}' as has_facets
                from input i
                cross join lateral (select q.* from ladder.board q
                                    where q.id = i.board_id and q.deleted_at is null
                                      and not exists (select from ladder.combination c where c.board_id = q.id) offset 0) b
                cross join lateral unnest(b.windows) with ordinality as w (kind, ordinality)
                left join lateral ladder.period_of(b.id, w.kind, i.achieved_at) p on true
                left join lateral (select q.* from ladder.entry q
                                   where q.period_id = p.id and q.player = i.player collate "C"
                                     and q.window_kind = p.window_kind and q.period_start = p.starts_at
                                   offset 0) e on true
                where v_again_item is null
                   or exists (select from unnest(v_again_item, v_again_window) as a (item, window_index)
                              where a.item = i.item and a.window_index = w.ordinality)
            ),
            summed as (
                select t.*,
                       case when t.operator = 'sum'
                            then t.score::numeric + case when t.is_old then case t.ordering when 'desc' then ~t.old_k1 else t.old_k1 end else 0 end
                            else t.score end as total,
                       case when t.operator = 'sum'
                            then t.subscore::numeric + case when t.is_old then case t.ordering when 'desc' then ~t.old_k2 else t.old_k2 end else 0 end
                            else t.subscore end as subtotal
                from target t
            ),
            judged as (
                select s.*,
                       case when s.period_id is null then -1  -- the period has no row yet
                            when s.state <> 'open' then 4
                            when s.total not between -9223372036854775808 and 9223372036854775807
                              or s.subtotal not between -9223372036854775808 and 9223372036854775807 then 3
                            when s.total not between s.score_min and s.score_max then 2
                            when not s.is_old then 1
                            when s.operator = 'best' then case when (s.k1, s.k2) < (s.old_k1, s.old_k2) then 1 else 0 end
                            when s.operator = 'last' then case when (s.k1, s.k2) <> (s.old_k1, s.old_k2)
                                                                 or s.metadata is distinct from s.old_metadata then 1 else 0 end
                            else case when s.score <> 0 or s.subscore <> 0 then 1 else 0 end
                       end as verdict
                from summed s
            ),
            decided as (
                select j.*,
                       -- One refusal refuses the submission; a missing period postpones it whole.
                       min(j.verdict) over (partition by j.item) = -1 as is_postponed,
                       max(j.verdict) over (partition by j.item) as worst,
                       case when j.operator = 'sum' and j.verdict = 1 then
                                case j.ordering when 'desc' then ~j.total::bigint else j.total::bigint end
                            else j.k1 end as new_k1,
                       case when j.operator = 'sum' and j.verdict = 1 then
                                case j.ordering when 'desc' then ~j.subtotal::bigint else j.subtotal::bigint end
                            else j.k2 end as new_k2,
                       -- The same pair again, with other metadata: reached when it first was.
                       case when j.operator = 'last' and j.is_old and (j.k1, j.k2) = (j.old_k1, j.old_k2)
                            then j.old_k3 else j.k3 end as new_k3
                from judged j
            ),
            written as (
                insert into ladder.entry as e (period_id, player, window_kind, period_start, k1, k2, k3, revision, removed, metadata)
                select d.period_id, d.player, d.window_kind, d.starts_at, d.new_k1, d.new_k2, d.new_k3,
                       coalesce(d.old_revision, nextval('ladder.revision')), false, d.metadata::json
                from decided d
                where d.verdict = 1 and d.worst = 1 and not d.is_postponed
                order by d.period_id, d.player
                on conflict (period_id, player, window_kind, period_start) do update
                    set k1 = excluded.k1,
                        k2 = excluded.k2,
                        k3 = excluded.k3,
                        revision = nextval('ladder.revision'),
                        removed = false,
                        metadata = excluded.metadata
                    where e.revision = excluded.revision
                returning e.period_id, e.player, e.revision
            ),
            told as (
                select d.item, d.window_index, d.window_kind, d.period_id, d.starts_at,
                       case when d.is_postponed then -1
                            when d.worst > 1 then d.worst
                            when d.verdict = 0 then 0
                            when w.revision is null then -2  -- lost a race
                            else 1 end as outcome,
                       case when d.verdict = 1 and d.worst = 1 then w.revision else d.old_revision end as revision,
                       case when d.verdict = 1 then d.new_k1 else d.old_k1 end as k1,
                       case when d.verdict = 1 then d.new_k2 else d.old_k2 end as k2,
                       case when d.verdict = 1 then d.new_k3 else d.old_k3 end as k3,
                       case when d.verdict = 1 then d.metadata else d.old_metadata end as metadata,
                       case when d.is_old then d.old_k1 end as old_k1,
                       case when d.is_old then d.old_k2 end as old_k2,
                       case when d.is_old then d.old_k3 end as old_k3,
                       d.has_facets
                from decided d
                left join written w on w.period_id = d.period_id and w.player = d.player
            )
            select array_agg(t.item) as item, array_agg(t.window_index) as window_index, array_agg(t.window_kind) as window_kind,
                   array_agg(t.period_id) as period_id, array_agg(t.outcome::smallint) as outcome,
                   array_agg(t.revision) as revision, array_agg(t.k1) as k1, array_agg(t.k2) as k2, array_agg(t.k3) as k3,
                   array_agg(t.metadata) as metadata, array_agg(t.starts_at) as starts_at,
                   array_agg(t.old_k1) as old_k1, array_agg(t.old_k2) as old_k2, array_agg(t.old_k3) as old_k3,
                   coalesce(bool_or(t.outcome = -1), false) as lacks_period,
                   coalesce(bool_or(t.outcome = -2), false) as lost_race,
                   coalesce(bool_or(t.outcome > 1), false) as is_refused,
                   coalesce(bool_or(t.has_facets), false) as has_facets
            into s
            from told t;

            exit when s.item is null;
            v_has_facets := v_has_facets or s.has_facets;
            if v_has_raced and s.is_refused then
                -- One of its windows is written, this one now refuses: the whole batch starts again.
                raise exception 'a submission raced with another' using errcode = 'serialization_failure';
            end if;

            if s.lacks_period or s.lost_race then
                -- Keep what is settled.
                select r_item || coalesce(array_agg(x.item), '{}'), r_window || coalesce(array_agg(x.window_index), '{}'),
                       r_kind || coalesce(array_agg(x.window_kind), '{}'), r_period || coalesce(array_agg(x.period_id), '{}'),
                       r_outcome || coalesce(array_agg(x.outcome), '{}'), r_revision || coalesce(array_agg(x.revision), '{}'),
                       r_k1 || coalesce(array_agg(x.k1), '{}'), r_k2 || coalesce(array_agg(x.k2), '{}'), r_k3 || coalesce(array_agg(x.k3), '{}'),
                       r_metadata || coalesce(array_agg(x.metadata), '{}'),
                       r_old1 || coalesce(array_agg(x.old_k1), '{}'), r_old2 || coalesce(array_agg(x.old_k2), '{}'),
                       r_old3 || coalesce(array_agg(x.old_k3), '{}'), r_start || coalesce(array_agg(x.starts_at), '{}')
                into r_item, r_window, r_kind, r_period, r_outcome, r_revision, r_k1, r_k2, r_k3, r_metadata, r_old1, r_old2, r_old3, r_start
                from unnest(s.item, s.window_index, s.window_kind, s.period_id, s.outcome, s.revision, s.k1, s.k2, s.k3,
                            s.metadata, s.old_k1, s.old_k2, s.old_k3, s.starts_at)
                     as x (item, window_index, window_kind, period_id, outcome, revision, k1, k2, k3, metadata, old_k1, old_k2, old_k3, starts_at)
                where x.outcome >= 0;
                select array_agg(x.item), array_agg(x.window_index) into v_again_item, v_again_window
                from unnest(s.item, s.window_index, s.outcome) as x (item, window_index, outcome)
                where x.outcome < 0;
                if s.lacks_period then
                    perform ladder.period_ensure(array_agg(p_board[i.item]), array_agg(ladder.time_of(p_achieved_us[i.item])))
                    from unnest(v_again_item) as i (item);
                end if;
                v_has_raced := v_has_raced or s.lost_race;
                if v_pass = 4 then
                    raise exception 'a submission raced with too many others' using errcode = 'serialization_failure';
                end if;
            else
                r_item := r_item || s.item;             r_window := r_window || s.window_index;
                r_kind := r_kind || s.window_kind;      r_period := r_period || s.period_id;
                r_outcome := r_outcome || s.outcome;    r_revision := r_revision || s.revision;
                r_k1 := r_k1 || s.k1;                   r_k2 := r_k2 || s.k2;
                r_k3 := r_k3 || s.k3;                   r_metadata := r_metadata || s.metadata;
                r_old1 := r_old1 || s.old_k1;           r_old2 := r_old2 || s.old_k2;
                r_old3 := r_old3 || s.old_k3;           r_start := r_start || s.starts_at;
                exit;
            end if;
        end loop;

        -- Lock class 4: the players' rows in player_facet; below them, their entries in the standings of facets.
        if v_has_facets then
            v_facet_rows := v_facet_rows || array(
                select m
                from (select array_agg(i.item) as items, array_agg(p_board[i.item]) as boards, array_agg(p_player[i.item]) as players,
                             array_agg(p_facets[i.item]) as facets
                      from (select y.item
                            from unnest(r_item, r_outcome) as y (item, outcome)
                            where p_round[y.item] = v_round
                            group by y.item
                            having max(y.outcome) <= 1) i) x
                cross join lateral ladder.facet_mirror(x.items, x.boards, x.players, x.facets, r_item, r_window, r_period) m);
        end if;
    end loop;

    insert into ladder.score_event (board_id, player, score, subscore, achieved_at, period_ids, moves)
    select i.board_id, i.player, i.score, i.subscore, ladder.time_of(i.achieved_us), r.period_ids, r.moves
    from (select x.item, array_agg(x.period_id) filter (where x.outcome = 1) as period_ids,
                 array_agg(array[x.old_k1, x.old_k2, x.old_k3, x.k1, x.k2, x.k3]) filter (where x.outcome = 1) as moves
          from (select *
                from unnest(r_item, r_period, r_outcome, r_old1, r_old2, r_old3, r_k1, r_k2, r_k3)
                union all
                select f.item, f.period_id, f.outcome, f.old_k1, f.old_k2, f.old_k3, f.k1, f.k2, f.k3
                from unnest(v_facet_rows) f
                where f.k1 is not null) as x (item, period_id, outcome, old_k1, old_k2, old_k3, k1, k2, k3)
          group by x.item
          having max(x.outcome) <= 1
          order by x.item) r
    join unnest(p_board, p_player, p_score, p_subscore, p_achieved_us)
         with ordinality as i (board_id, player, score, subscore, achieved_us, item) on i.item = r.item;
    if v_facet_rows <> '{}' then
        insert into ladder.score_event (board_id, kind, player, period_ids, moves)
        select p_board[f.item], 'remove', p_player[f.item], array_agg(f.period_id),
               array_agg(array[f.old_k1, f.old_k2, f.old_k3, f.k1, f.k2, f.k3])
        from unnest(v_facet_rows) f
        where f.k1 is null
        group by f.item;
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
              from (select *, null from unnest(r_item, r_kind, r_period, r_outcome, r_k1, r_k2, r_k3, r_metadata, r_old1, r_old2, r_old3,
                                               r_window, r_start)
                    union all
                    select f.item, f.window_kind, f.period_id, f.outcome, f.k1, f.k2, f.k3, f.metadata, f.old_k1, f.old_k2, f.old_k3,
                           f.window_index, f.starts_at, f.facet from unnest(v_facet_rows) f)
                   as x (item, window_kind, period_id, outcome, k1, k2, k3, metadata, old_k1, old_k2, old_k3, window_index, starts_at, facet)
              join unnest(p_claim) with ordinality as i (claim, item) on i.item = x.item
              join (select c.claim, c.game_id, c.key, (select min(n.item) from unnest(p_claim) with ordinality as n (claim, item)
                                                       where n.claim = c.claim) as first
                    from unnest(p_claim_game, p_claim_key) with ordinality as c (game_id, key, claim)) c on c.claim = i.claim
              group by c.game_id, c.key) o
        where k.game_id = o.game_id and k.key = o.key;
    end if;

    return query
    select x.item, x.window_kind, x.period_id, x.outcome, x.revision, x.k1, x.k2, x.k3, x.metadata,
           x.old_k1, x.old_k2, x.old_k3, ladder.us_of(x.starts_at), null::text
    from unnest(r_item, r_kind, r_period, r_outcome, r_revision, r_k1, r_k2, r_k3, r_metadata, r_old1, r_old2, r_old3, r_window, r_start)
         as x (item, window_kind, period_id, outcome, revision, k1, k2, k3, metadata, old_k1, old_k2, old_k3, window_index, starts_at)
    order by x.item, x.window_index;
    if v_facet_rows <> '{}' then
        return query
        select f.item, f.window_kind, f.period_id, f.outcome, f.revision, f.k1, f.k2, f.k3, f.metadata,
               f.old_k1, f.old_k2, f.old_k3, ladder.us_of(f.starts_at), f.facet
        from unnest(v_facet_rows) f
        order by f.item, f.window_index;
    end if;
    -- Submissions without a row in the answer: their board is gone (5) or made of others (7), or their key was used before (6).
    if (select count(distinct x) from unnest(r_item) x) < cardinality(p_board) then
        return query
        select i.item::integer, null::ladder.window_kind, null::bigint,
               case when i.claim = any (v_repeated) then 6
                    when exists (select from ladder.combination c where c.board_id = i.board_id) then 7
                    else 5
               end::smallint, null::bigint,
               null::bigint, null::bigint, null::bigint, null::text, null::bigint, null::bigint, null::bigint, null::bigint, null::text
        from unnest(p_board, p_claim) with ordinality as i (board_id, claim, item)
        where not exists (select from unnest(r_item) x where x = i.item);
    end if;
end
$$;
comment on function ladder.submit(bigint[], text[], bigint[], bigint[], bigint[], text[], integer[], integer[], bigint[], bytea[], bytea[], text[])
    is 'Takes a batch of submissions in one transaction and returns every entry''s state, before and after.';
