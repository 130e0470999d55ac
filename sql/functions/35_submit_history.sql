-- submit_history: many submissions to one board at once, as an import has them: no idempotency keys, and of the results only the
-- refusals. Leaves behind exactly what ladder.submit would, had it taken them one after the other.
--
-- p_metadata: a JSON text or null for each submission; empty: none has any. Returns how many submissions changed an entry, how many
-- were refused, and of the refused ones the items (from 1) and their outcomes, as of ladder.submit.
--
-- ladder.submit applies a player's submissions round by round. Here one statement folds them, which is what makes a
-- history of many submissions a player cheap: a window function tells of each row the state before it, so which rows
-- changed the entry; the last of those is written, every one is an event.
--
--     rows -> their periods -> the entries as they are -> each row's state before -> changed or not -> one upsert a place
--
-- p_facets: as of ladder.submit. What the rows of a player say of his facets is what the last of them says of each; on a board
-- that declares facets the fold's outcome is mirrored into their standings as there.
--
-- I1 holds as in ladder.submit: keys in order, the revision drawn under the row's lock, the event in the same transaction.
-- The states in between were never visible, so they draw no revision. A race with another transaction fails the batch with
-- a serialization_failure: the caller sends it again, with p_locks, which takes the entries' locks first.
--
-- What a fold can't say goes through ladder.submit: a sum that leaves its bounds on the way (a submission that is refused
-- counts nothing for those behind it), a period that period_ensure did not foresee.
drop function if exists ladder.submit_history(bigint, text[], bigint[], bigint[], bigint[], boolean);
drop function if exists ladder.submit_history(bigint, text[], bigint[], bigint[], bigint[], boolean, text[]);
create or replace function ladder.submit_history(
    p_board bigint, p_player text[], p_score bigint[], p_subscore bigint[], p_achieved_us bigint[], p_locks boolean,
    p_facets text[] default '{}', p_metadata text[] default '{}')
    returns table (changed bigint, refused bigint, refused_items integer[], refused_outcomes smallint[])
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
    b ladder.board;
    s record;
    v_refused integer[] := '{}'; v_outcomes smallint[] := '{}'; -- for their facets
    v_facet_rows ladder.facet_row[];
begin
    perform ladder.write_begin();
    select * into b from ladder.board q where q.id = p_board and q.deleted_at is null
        and not exists (select from ladder.combination c where c.board_id = q.id);
    if not found then
        return query
        select 0::bigint, count(*), coalesce(array_agg(i.item::integer), '{}'), coalesce(array_agg(x.outcome), '{}')
        from unnest(p_player) with ordinality as i (player, item)
        cross join (select case when exists (select from ladder.combination c where c.board_id = p_board) then 7 else 5 end::smallint as outcome) x;
        return;
    end if;

    perform ladder.period_ensure(array_agg(p_board), array_agg(ladder.time_of(x.us)))
    from (select distinct on (us / 900000000) us from unnest(p_achieved_us) us) x;

    if cardinality(p_facets) > 0 then
        select coalesce(array_agg(a.item), '{}'), coalesce(array_agg(a.outcome), '{}') into v_refused, v_outcomes
        from ladder.facet_admit(array_fill(p_board, array[cardinality(p_player)]), p_facets) a;
    end if;

    if p_locks then
        perform 1
        from (select distinct p.id as period_id, i.player collate "C" as player, p.window_kind, p.starts_at
              from unnest(p_player, p_achieved_us) as i (player, achieved_us)
              cross join lateral unnest(b.windows) as w (kind)
              cross join lateral ladder.period_of(p_board, w.kind, ladder.time_of(i.achieved_us)) p
              order by 1, 2
              offset 0) t
        cross join lateral (select from ladder.entry e
                            where e.period_id = t.period_id and e.player = t.player collate "C"
                              and e.window_kind = t.window_kind and e.period_start = t.starts_at
                            for update) locked;
    end if;

    with moment as materialized (
        select i.us, p.id as period_id, p.window_kind, p.starts_at, p.state,
               bool_or(p.id is null) over (partition by i.us) as lacks_period,
               bool_and(p.state <> 'open') over (partition by i.us) as is_refused
        from (select distinct us from unnest(p_achieved_us) us) i
        cross join lateral unnest(b.windows) as w (kind)
        left join lateral ladder.period_of(p_board, w.kind, ladder.time_of(i.us)) p on true
    ),
    target as materialized (
        select i.item, i.player collate "C" as player, i.score, i.subscore, i.metadata, m.period_id, m.window_kind, m.starts_at,
               case b.ordering when 'desc' then ~i.score else i.score end as k1,
               case b.ordering when 'desc' then ~i.subscore else i.subscore end as k2,
               case b.tie when 'last' then ~i.us else i.us end as k3
        from unnest(p_player, p_score, p_subscore, p_achieved_us, p_metadata) with ordinality as i (player, score, subscore, us, metadata, item)
        join moment m on m.us = i.us
        where m.state = 'open'
          and i.item <> all (v_refused)
          and (b.operator = 'sum' or i.score between b.score_min and b.score_max)
    ),
    place as materialized (
        select t.period_id, t.player, t.window_kind, t.starts_at, e.k1, e.k2, e.k3, e.revision,
               e.metadata::text as metadata,
               e.period_id is not null and not e.removed as is_old
        from (select distinct period_id, player, window_kind, starts_at from target) t
        left join lateral (select q.* from ladder.entry q
                           where q.period_id = t.period_id and q.player = t.player collate "C"
                             and q.window_kind = t.window_kind and q.period_start = t.starts_at
                           offset 0) e on true
    ),
    step as (
        select t.*, p.k1 as old_k1, p.k2 as old_k2, p.k3 as old_k3, p.revision as old_revision, p.metadata as old_metadata, p.is_old,
               row_number() over so_far as nth,
               case b.operator when 'last' then lag(t.k1) over so_far end as last_k1,
               case b.operator when 'last' then lag(t.k2) over so_far end as last_k2,
               case b.operator when 'last' then lag(t.metadata) over so_far end as last_metadata,
               min(case b.operator when 'best' then array[t.k1, t.k2] end) over before as best,
               sum(case b.operator when 'sum' then t.score end) over so_far
                   + case when p.is_old then case b.ordering when 'desc' then ~p.k1 else p.k1 end else 0 end as total,
               sum(case b.operator when 'sum' then t.subscore end) over so_far
                   + case when p.is_old then case b.ordering when 'desc' then ~p.k2 else p.k2 end else 0 end as subtotal
        from target t
        join place p on p.period_id = t.period_id and p.player = t.player
        window so_far as (partition by t.period_id, t.player order by t.item),
               before as (partition by t.period_id, t.player order by t.item rows between unbounded preceding and 1 preceding)
    ),
    judged as materialized (
        select j.*,
               case when j.nth = 1 and not j.is_old then true
                    when b.operator = 'best' then (j.best is null or array[j.k1, j.k2] < j.best)
                                                  and (not j.is_old or (j.k1, j.k2) < (j.old_k1, j.old_k2))
                    when b.operator = 'sum' then j.score <> 0 or j.subscore <> 0
                    when j.nth = 1 then (j.k1, j.k2) <> (j.old_k1, j.old_k2) or j.metadata is distinct from j.old_metadata
                    else (j.k1, j.k2) <> (j.last_k1, j.last_k2) or j.metadata is distinct from j.last_metadata
               end as has_changed,
               b.operator = 'last' and case when j.nth > 1 then (j.k1, j.k2) <> (j.last_k1, j.last_k2)
                                            when j.is_old then (j.k1, j.k2) <> (j.old_k1, j.old_k2)
                                            else true end as has_new_pair
        from step j
    ),
    trouble as materialized (
        select exists (select from moment where lacks_period)
               or b.operator = 'sum' and exists (
                   select from judged j
                   where j.total not between b.score_min and b.score_max
                      or j.subtotal not between -9223372036854775808 and 9223372036854775807) as is_there
    ),
    -- The same pair again, with other metadata: reached when it first was.
    reached as materialized (
        select distinct on (j.period_id, j.player) j.period_id, j.player, j.k3
        from judged j
        where j.has_new_pair
        order by j.period_id, j.player, j.item desc
    ),
    final as materialized (
        select distinct on (j.period_id, j.player) j.*,
               case when b.operator <> 'sum' then j.k1 when b.ordering = 'desc' then ~j.total::bigint else j.total::bigint end as new_k1,
               case when b.operator <> 'sum' then j.k2 when b.ordering = 'desc' then ~j.subtotal::bigint else j.subtotal::bigint end as new_k2,
               case when b.operator = 'last' then coalesce(a.k3, j.old_k3) else j.k3 end as new_k3
        from judged j
        left join reached a on a.period_id = j.period_id and a.player = j.player
        where j.has_changed and not (select is_there from trouble)
        order by j.period_id, j.player, j.item desc
    ),
    written as (
        insert into ladder.entry as e (period_id, player, window_kind, period_start, k1, k2, k3, revision, removed, metadata)
        select f.period_id, f.player, f.window_kind, f.starts_at, f.new_k1, f.new_k2, f.new_k3,
               coalesce(f.old_revision, nextval('ladder.revision')), false, f.metadata::json
        from final f
        order by f.period_id, f.player
        on conflict (period_id, player, window_kind, period_start) do update
            set k1 = excluded.k1,
                k2 = excluded.k2,
                k3 = excluded.k3,
                revision = nextval('ladder.revision'),
                removed = false,
                metadata = excluded.metadata
            where e.revision = excluded.revision
        returning 1
    ),
    taken as materialized (
        select j.item, array_agg(j.period_id) filter (where j.has_changed) as period_ids,
               -- The last change of a place says from where to where all of them went.
               array_agg(case when f.item is not null
                              then array[case when f.is_old then f.old_k1 end, case when f.is_old then f.old_k2 end,
                                         case when f.is_old then f.old_k3 end, f.new_k1, f.new_k2, f.new_k3]
                              else array[null, null, null, null, null, null]::bigint[] end) filter (where j.has_changed) as moves
        from judged j
        left join final f on f.item = j.item and f.period_id = j.period_id
        where not (select is_there from trouble)
        group by j.item
    ),
    refusal as (
        select i.item, coalesce(f.outcome, case when m.is_refused then 4 else 2 end)::smallint as outcome
        from unnest(p_achieved_us) with ordinality as i (us, item)
        join (select distinct us, is_refused from moment) m on m.us = i.us
        left join unnest(v_refused, v_outcomes) as f (item, outcome) on f.item = i.item
        left join taken t on t.item = i.item
        where t.item is null
    ),
    told as (
        insert into ladder.score_event (board_id, player, score, subscore, achieved_at, period_ids, moves)
        select p_board, p_player[j.item], p_score[j.item], p_subscore[j.item], ladder.time_of(p_achieved_us[j.item]), j.period_ids, j.moves
        from taken j
        where b.facet_ids = '{}'
        order by j.item
    )
    select (select is_there from trouble) as is_troubled,
           (select count(*) from final) as wanted,
           (select count(*) from written) as written,
           (select coalesce(array_agg(r.item::integer order by r.item), '{}') from refusal r) as refused_items,
           (select coalesce(array_agg(r.outcome order by r.item), '{}') from refusal r) as refused_outcomes,
           (select count(*) from taken t where t.period_ids is not null) as changed,
           -- On a board with facets the events are inserted below, when the mirrored entries are known.
           case when b.facet_ids <> '{}' then (select array_agg(t.item) from taken t) end as items,
           case when b.facet_ids <> '{}' then (select array_agg(t.period_ids::text) from taken t) end as item_periods,
           case when b.facet_ids <> '{}' then (select array_agg(t.moves::text) from taken t) end as item_moves,
           case when b.facet_ids <> '{}' then (select array_agg(j.item) from judged j) end as touched_by,
           case when b.facet_ids <> '{}' then (select array_agg(j.period_id) from judged j) end as touched
    into s;

    if s.is_troubled then
        return query
        select count(*) filter (where r.has_changed), count(*) filter (where r.worst > 1),
               coalesce(array_agg(r.item order by r.item) filter (where r.worst > 1), '{}'),
               coalesce(array_agg(r.worst order by r.item) filter (where r.worst > 1), '{}')
        from (select x.item, bool_or(x.outcome = 1) as has_changed, max(x.outcome) as worst
              from ladder.submit(array_fill(p_board, array[cardinality(p_player)]), p_player, p_score, p_subscore, p_achieved_us,
                                 (select array_agg(m.metadata order by m.item)
                                  from unnest(p_player, p_metadata) with ordinality as m (player, metadata, item)),
                                 (select array_agg(i.round order by i.item)
                                  from (select n.item, (row_number() over (partition by n.player order by n.item) - 1)::integer as round
                                        from unnest(p_player) with ordinality as n (player, item)) i),
                                 array_fill(0, array[cardinality(p_player)]), '{}', '{}', '{}', p_facets) x
              where x.facet is null
              group by x.item) r;
        return;
    end if;
    if s.written <> s.wanted then
        raise exception 'the batch raced with another transaction' using errcode = 'serialization_failure';
    end if;

    -- One mirror for each player, in the name of his last row.
    if s.items is not null then
        v_facet_rows := array(
            with player as (
                select x.player, max(x.item)::integer as item,
                       jsonb_object_agg(g.key, g.value order by x.item) filter (where g.key is not null) as facets
                from (select i.item, p_player[i.item] as player from unnest(s.items) as i (item)) x
                left join lateral jsonb_each(p_facets[x.item]::jsonb) g on true
                group by x.player
            ),
            touched as (
                select distinct p.item, t.period_id
                from unnest(s.touched_by, s.touched) as t (item, period_id)
                join player p on p.player = p_player[t.item]
            )
            select m
            from (select array_agg(item) as items, array_agg(p_board) as boards, array_agg(player) as players, array_agg(facets::text) as facets
                  from player) x
            cross join (select array_agg(item) as items, array_agg(1) as windows, array_agg(period_id) as periods from touched) y
            cross join lateral ladder.facet_mirror(x.items, x.boards, x.players, x.facets, y.items, y.windows, y.periods) m);
        insert into ladder.score_event (board_id, player, score, subscore, achieved_at, period_ids, moves, facets)
        select p_board, p_player[i.item], p_score[i.item], p_subscore[i.item], ladder.time_of(p_achieved_us[i.item]),
               i.period_ids::bigint[] || f.period_ids, i.moves::bigint[] || f.moves,
               (select q.facets from ladder.player_facet q where q.board_id = p_board and q.player = p_player[i.item] collate "C")
        from unnest(s.items, s.item_periods, s.item_moves) as i (item, period_ids, moves)
        left join (select item, array_agg(period_id) as period_ids, array_agg(array[old_k1, old_k2, old_k3, k1, k2, k3]) as moves
                   from unnest(v_facet_rows)
                   where outcome = 1 and k1 is not null
                   group by item) f on f.item = i.item
        order by i.item;
        insert into ladder.score_event (board_id, kind, player, period_ids, moves)
        select p_board, 'remove', p_player[f.item], array_agg(f.period_id),
               array_agg(array[f.old_k1, f.old_k2, f.old_k3, f.k1, f.k2, f.k3])
        from unnest(v_facet_rows) f
        where f.k1 is null
        group by f.item;
    end if;
    return query select s.changed, cardinality(s.refused_items)::bigint, s.refused_items, s.refused_outcomes;
end
$$;
comment on function ladder.submit_history(bigint, text[], bigint[], bigint[], bigint[], boolean, text[], text[])
    is 'Takes a batch of an import in one transaction; returns how many submissions changed an entry and how many were refused.';
