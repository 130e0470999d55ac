-- board_loss: what a board would no longer show with these windows and these facets: the windows and facets that it has, that
-- are not among them, and that hold entries. Each with how many entries, in all its standings together; counts stop at p_most.
create or replace function ladder.board_loss(p_board bigint, p_windows ladder.window_kind[], p_facets text[], p_most bigint)
    returns table (field text, name text, entries bigint)
    language sql
    stable
    set search_path = pg_catalog
as $$
    with gone as (
        select 1 as part, w.nth, 'windows' as field, ladder.window_title(w.kind, b.schedules) as name, '' as facet_from, '' as facet_to, w.kind
        from ladder.board b
        cross join unnest(b.windows) with ordinality as w (kind, nth)
        where b.id = p_board
          and w.kind <> all (p_windows)
        union all
        select 2, f.nth, 'facets', f.name, f.id || ':', f.id || ';', null
        from ladder.board b
        cross join unnest(b.facets, b.facet_ids) with ordinality as f (name, id, nth)
        where b.id = p_board
          and f.name <> all (p_facets)
    )
    select g.field, g.name, c.entries
    from gone g
    cross join lateral (select count(*) as entries
                        from (select
                              from ladder.period p
                              cross join lateral (select from ladder.entry e
                                                  where e.period_id = p.id
                                                    and e.window_kind = p.window_kind
                                                    and e.period_start = p.starts_at
                                                    and not e.removed
                                                  limit p_most) e
                              where p.board_id = p_board
                                and (g.kind is null and p.facet collate "C" >= g.facet_from and p.facet collate "C" < g.facet_to
                                     or p.facet = '' and p.window_kind = g.kind)
                              limit p_most) x) c
    where c.entries > 0
    order by g.part, g.nth
$$;
comment on function ladder.board_loss(bigint, ladder.window_kind[], text[], bigint)
    is 'The windows and facets that hold entries and that a board would lose with these; with how many entries, at most p_most each.';
