-- Facets: the standing of a value in a period has the entries of the whole board's standing of those players who have it.
--
-- It is kept so by one rule: whoever changed or only touched entries of the whole board mirrors them, in the same transaction
-- and after it, under the lock of the player's row in player_facet. A mirror reads what was committed when it got that lock, and
-- its own transaction's changes; so the last of several leaves behind what is right, in whichever order they wrote the entries.
-- A mirrored entry has a revision of its own: Redis, the tail and the caches see standings like any other.
--
-- A facet is named by a key, its number and the value: `17:BR`. `17:` is: no value.

-- facet_key_id: the number in a key.
create or replace function ladder.facet_key_id(key text)
    returns bigint
    language sql
    immutable
    parallel safe
as $$
    select split_part(key, ':', 1)::bigint
$$;
comment on function ladder.facet_key_id(text) is 'The number of the facet that a key names.';

-- facet_name: a key as the API says it.
create or replace function ladder.facet_name(key text, names text[], ids bigint[])
    returns text
    language sql
    immutable
    parallel safe
as $$
    select names[array_position(ids, ladder.facet_key_id(key))] || substr(key, strpos(key, ':'))
$$;
comment on function ladder.facet_name(text, text[], bigint[]) is 'A key of a board''s facet with its name in place of its number.';

-- facet_keys: what a submission says, {"country": "BR", "clan": null}, as keys: facets that the board declares only.
create or replace function ladder.facet_keys(given text, names text[], ids bigint[])
    returns text[]
    language sql
    immutable
    parallel safe
as $$
    select coalesce(array_agg(ids[array_position(names, g.key)] || ':' || coalesce(g.value, '') order by g.key), '{}')
    from jsonb_each_text(given::jsonb) g
    where g.key = any (names)
$$;
comment on function ladder.facet_keys(text, text[], bigint[]) is 'The facets that a submission names, as keys.';

-- facet_ids: the numbers of a board's facets, new ones for new names.
create or replace function ladder.facet_ids(names text[], old_names text[], old_ids bigint[])
    returns bigint[]
    language sql
    volatile
as $$
    select coalesce(array_agg(coalesce(old_ids[array_position(old_names, n.name)], nextval('ladder.facet_id')) order by n.nth), '{}')
    from unnest(names) with ordinality as n (name, nth)
$$;
comment on function ladder.facet_ids(text[], text[], bigint[]) is 'The numbers of the facets that a board declares: those that it had keep theirs.';

-- facet_admit: notes the values that submissions bring. Returns those that can't be taken: outcome 8, one value too many;
-- 9, the board has no such facet. Boards whose values come at the same moment may get a few more than their limit.
create or replace function ladder.facet_admit(p_board bigint[], p_facets text[])
    returns table (item integer, outcome smallint)
    language sql
    volatile
    set search_path = pg_catalog
as $$
    with said as materialized (
        select i.item, b.id as board_id, b.facet_values_max as most, g.value is not null as has_value,
               b.facet_ids[array_position(b.facets, g.key collate "C")] || ':' || g.value as key,
               g.key = any (b.facets) as is_known
        from unnest(p_board, p_facets) with ordinality as i (board_id, facets, item)
        join ladder.board b on b.id = i.board_id and b.deleted_at is null
        cross join lateral jsonb_each_text(i.facets::jsonb) g
        where i.facets is not null
    ),
    fresh as materialized (
        select s.board_id, s.key collate "C" as key, s.most, row_number() over (partition by s.board_id order by s.key collate "C") as nth
        from (select distinct board_id, key, most from said where is_known and has_value) s
        where not exists (select from ladder.facet_value v where v.board_id = s.board_id and v.facet = s.key collate "C")
    ),
    judged as materialized (
        select f.board_id, f.key, f.nth + c.count > f.most as is_too_many
        from fresh f
        join (select d.board_id, (select count(*) from ladder.facet_value v where v.board_id = d.board_id)
              from (select distinct board_id from fresh) d) c on c.board_id = f.board_id
    ),
    noted as (
        insert into ladder.facet_value (board_id, facet)
        select j.board_id, j.key
        from judged j
        where not j.is_too_many
        order by 1, 2
        on conflict do nothing
    )
    select s.item::integer, max(case when not s.is_known then 9 when j.is_too_many then 8 end)::smallint
    from said s
    left join judged j on j.board_id = s.board_id and j.key = s.key
    where not s.is_known or j.is_too_many
    group by s.item
$$;
comment on function ladder.facet_admit(bigint[], text[]) is 'Notes the facets'' values that submissions bring; returns the submissions that can''t be taken.';

-- period_of_facets: the standings of some values in a period of the whole board.
create or replace function ladder.period_of_facets(period_id bigint, facets text[])
    returns table (id bigint)
    language sql
    stable
as $$
    select f.id
    from ladder.period p
    cross join lateral unnest(facets) as k (key)
    cross join lateral (select q.id
                        from ladder.period q
                        where q.board_id = p.board_id
                          and q.facet = k.key collate "C"
                          and q.window_kind = p.window_kind
                          and q.starts_at = p.starts_at
                        offset 0) f
    where p.id = period_of_facets.period_id
      and k.key not like '%:'
$$;
comment on function ladder.period_of_facets(bigint, text[]) is 'The standings of some values of facets in a period of the whole board.';

-- facet_mirror: brings the standings of facets up to the entries of the whole board that submissions touched.
--
-- p_*: the submissions, one for each (board, player); boards without facets have none. m_*: the standings that they touched, by
-- item: (item, window index, period). Where a player's facets changed, all his open standings are looked at.
--
-- Returns the entries of those standings as submit does: outcome 0, it was so already; 1, changed. Without k1: he left it, where he was at
-- the old one.
drop function if exists ladder.facet_mirror(integer[], bigint[], text[], text[], integer[], integer[], bigint[]); -- it returned another type
create or replace function ladder.facet_mirror(
    p_item integer[], p_board bigint[], p_player text[], p_facets text[],
    m_item integer[], m_window integer[], m_period bigint[])
    returns setof ladder.facet_row
    language plpgsql
    set search_path = pg_catalog
    set plan_cache_mode = force_generic_plan
    set enable_nestloop = off -- but for the lateral look-ups by key, which know no other way
    set enable_mergejoin = off
    set enable_seqscan = off
    set jit = off
as $$
declare
    v_changed integer[];
    -- The places that should be taken: parallel arrays.
    v_item integer[]; v_window integer[]; v_player text[]; v_period bigint[]; v_key text[]; v_name text[];
begin
    -- Every row is locked, those that stay as they are too.
    with input as (
        select i.item, i.board_id, i.player collate "C" as player,
               case when i.facets is null then '{}' else ladder.facet_keys(i.facets, b.facets, b.facet_ids) end as keys
        from unnest(p_item, p_board, p_player, p_facets) as i (item, board_id, player, facets)
        cross join lateral (select q.* from ladder.board q where q.id = i.board_id and q.facet_ids <> '{}' offset 0) b
    ),
    kept as (
        insert into ladder.player_facet as f (board_id, player, facets, past)
        select i.board_id, i.player, i.keys, i.keys
        from input i
        order by i.board_id, i.player
        on conflict (board_id, player) do update
            set facets = array(select h from unnest(f.facets) h
                               where ladder.facet_key_id(h) not in (select ladder.facet_key_id(g) from unnest(excluded.facets) g)
                               union all
                               select g from unnest(excluded.facets) g),
                past = array(select h from unnest(f.past) h union select g from unnest(excluded.facets) g)
            where not f.facets @> excluded.facets
        returning f.board_id, f.player
    )
    select coalesce(array_agg(i.item), '{}') into v_changed
    from kept k
    join input i on i.board_id = k.board_id and i.player = k.player;

    with held as (
        select i.item, i.board_id, i.player, f.key, ladder.facet_name(f.key, b.facets, b.facet_ids) as name
        from unnest(p_item, p_board, p_player) as i (item, board_id, player)
        cross join lateral (select q.facets, q.facet_ids from ladder.board q where q.id = i.board_id offset 0) b
        cross join lateral (select unnest(q.facets) as key from ladder.player_facet q
                            where q.board_id = i.board_id and q.player = i.player collate "C" offset 0) f
        where f.key not like '%:'
          and ladder.facet_key_id(f.key) = any (b.facet_ids)
    ),
    place as (
        select h.*, m.window_index, m.period_id
        from held h
        join unnest(m_item, m_window, m_period) as m (item, window_index, period_id) on m.item = h.item
        where h.item <> all (v_changed)
        union all
        select h.*, m.window_index, p.id
        from held h
        cross join lateral (select q.id from ladder.period q
                            where q.board_id = h.board_id and q.facet = '' and q.state = 'open' offset 0) p
        left join unnest(m_item, m_window, m_period) as m (item, window_index, period_id) on m.item = h.item and m.period_id = p.id
        where h.item = any (v_changed)
    )
    select array_agg(p.item), array_agg(p.window_index), array_agg(p.player), array_agg(p.period_id), array_agg(p.key), array_agg(p.name)
    into v_item, v_window, v_player, v_period, v_key, v_name
    from place p;

    insert into ladder.period (board_id, window_kind, starts_at, ends_at, created_at, facet)
    select distinct p.board_id, p.window_kind, p.starts_at, p.ends_at, p.created_at, x.key collate "C"
    from (select distinct period_id, key from unnest(v_period, v_key) as d (period_id, key)) x
    cross join lateral (select q.* from ladder.period q where q.id = x.period_id offset 0) p
    left join lateral (select q.id from ladder.period q
                       where q.board_id = p.board_id and q.facet = x.key collate "C" and q.window_kind = p.window_kind
                         and q.starts_at = p.starts_at offset 0) f on true
    where f.id is null
    order by 1, 6, 2, 3
    on conflict (board_id, facet, window_kind, starts_at) do nothing;

    return query
    with judged as materialized (
        select x.item, x.window_index, x.player collate "C" as player, x.name, p.window_kind, p.starts_at, f.id as period_id,
               e.k1, e.k2, e.k3, e.metadata::text as metadata,
               case when not o.removed then o.k1 end as old_k1, case when not o.removed then o.k2 end as old_k2,
               case when not o.removed then o.k3 end as old_k3, o.revision as old_revision,
               (o.removed or (o.k1, o.k2, o.k3, o.metadata::text) is distinct from (e.k1, e.k2, e.k3, e.metadata::text)) is not false as must_write
        from unnest(v_item, v_window, v_player, v_period, v_key, v_name) as x (item, window_index, player, period_id, key, name)
        cross join lateral (select q.* from ladder.period q where q.id = x.period_id offset 0) p
        cross join lateral (select q.* from ladder.entry q
                            where q.period_id = p.id and q.player = x.player collate "C" and q.window_kind = p.window_kind
                              and q.period_start = p.starts_at and not q.removed offset 0) e
        cross join lateral (select q.id from ladder.period q
                            where q.board_id = p.board_id and q.facet = x.key collate "C" and q.window_kind = p.window_kind
                              and q.starts_at = p.starts_at offset 0) f
        left join lateral (select q.* from ladder.entry q
                           where q.period_id = f.id and q.player = x.player collate "C" and q.window_kind = p.window_kind
                             and q.period_start = p.starts_at offset 0) o on true
    ),
    written as (
        insert into ladder.entry as e (period_id, player, window_kind, period_start, k1, k2, k3, revision, removed, metadata)
        select j.period_id, j.player, j.window_kind, j.starts_at, j.k1, j.k2, j.k3, nextval('ladder.revision'), false, j.metadata::json
        from judged j
        where j.must_write
        order by j.period_id, j.player
        on conflict (period_id, player, window_kind, period_start) do update
            set k1 = excluded.k1,
                k2 = excluded.k2,
                k3 = excluded.k3,
                revision = nextval('ladder.revision'),
                removed = false,
                metadata = excluded.metadata
        returning e.period_id, e.player, e.revision
    )
    select j.item, coalesce(j.window_index, 99), j.window_kind, j.period_id, j.must_write::integer::smallint,
           coalesce(w.revision, j.old_revision), j.k1, j.k2, j.k3, j.metadata, j.old_k1, j.old_k2, j.old_k3, j.starts_at, j.name
    from judged j
    left join written w on w.period_id = j.period_id and w.player = j.player;

    if v_changed <> '{}' then
        return query
        with gone as materialized (
            select i.item, i.player collate "C" as player, p.id as period_id, p.window_kind, p.starts_at, e.k1, e.k2, e.k3
            from unnest(p_item, p_board, p_player) as i (item, board_id, player)
            cross join lateral (select q.facets, q.past from ladder.player_facet q
                                where q.board_id = i.board_id and q.player = i.player collate "C" offset 0) f
            cross join lateral unnest(f.past) as k (key)
            cross join lateral (select q.* from ladder.period q
                                where q.board_id = i.board_id and q.facet = k.key and q.state = 'open' offset 0) p
            cross join lateral (select from ladder.period q
                                where q.board_id = i.board_id and q.facet = '' and q.window_kind = p.window_kind
                                  and q.starts_at = p.starts_at and q.state = 'open' offset 0) w
            cross join lateral (select q.k1, q.k2, q.k3 from ladder.entry q
                                where q.period_id = p.id and q.player = i.player collate "C" and q.window_kind = p.window_kind
                                  and q.period_start = p.starts_at and not q.removed offset 0) e
            where i.item = any (v_changed)
              and k.key <> all (f.facets)
        ),
        -- They are all there: an insertion that becomes an update locks and finds them by key.
        closed as (
            insert into ladder.entry as e (period_id, player, window_kind, period_start, k1, k2, k3, revision, removed)
            select g.period_id, g.player, g.window_kind, g.starts_at, 0, 0, 0, 0, true
            from gone g
            order by g.period_id, g.player
            on conflict (period_id, player, window_kind, period_start) do update
                set removed = true, metadata = null, revision = nextval('ladder.revision')
            returning e.period_id, e.player, e.revision
        )
        select g.item, 99, g.window_kind, g.period_id, 1::smallint, c.revision, null::bigint, null::bigint, null::bigint, null::text,
               g.k1, g.k2, g.k3, g.starts_at, ''
        from gone g
        join closed c on c.period_id = g.period_id and c.player = g.player;
    end if;
end
$$;
comment on function ladder.facet_mirror(integer[], bigint[], text[], text[], integer[], integer[], bigint[])
    is 'Brings the standings of facets up to the entries of the whole board; returns their entries.';
