-- Changes what may change; null leaves it.
-- $1 board id, $2 windows, $3 score_min, $4 score_max, $5 is_public, $6 max_staleness_ms, $7 max_age_s,
-- $8 stale_while_revalidate_s, $9 stale_if_error_s, $10 edge_max_age_s, $11 only if it is of this version; null: whatever it is,
-- $12 facets, $13 facet_values_max, $14 synchronous_commit, $15 windows and facets that hold entries may go,
-- $16 the schedules among the windows
with before as materialized (
    select b.id, b.facets, b.facet_ids
    from ladder.board b
    where b.id = $1::bigint
    for update
),
changed as (
    update ladder.board b
    set windows = case when $2::text[] is null then b.windows
                       else ladder.windows_named($2::text[], ladder.schedules_merge(b.id, b.schedules, $16::text[])) end,
        schedules = case when $2::text[] is null then b.schedules else ladder.schedules_merge(b.id, b.schedules, $16::text[]) end,
        score_min = coalesce($3::bigint, b.score_min),
        score_max = coalesce($4::bigint, b.score_max),
        is_public = coalesce($5::boolean, b.is_public),
        max_staleness_ms = coalesce($6::int, b.max_staleness_ms),
        max_age_s = coalesce($7::int, b.max_age_s),
        stale_while_revalidate_s = coalesce($8::int, b.stale_while_revalidate_s),
        stale_if_error_s = coalesce($9::int, b.stale_if_error_s),
        edge_max_age_s = coalesce($10::int, b.edge_max_age_s),
        facets = coalesce($12::text[], b.facets),
        facet_ids = case when $12::text[] is null then b.facet_ids else ladder.facet_ids($12::text[], b.facets, b.facet_ids) end,
        facet_values_max = coalesce($13::int, b.facet_values_max),
        synchronous_commit = coalesce($14::text, b.synchronous_commit),
        updated_at = greatest(now(), b.updated_at + interval '1 microsecond')
    from before
    where b.id = before.id
      and b.deleted_at is null
      and ($11::bigint is null or ladder.us_of(b.updated_at) = $11::bigint)
      and ($15::boolean or not exists (select
                                       from ladder.board_loss(b.id, case when $2::text[] is null then b.windows
                                                                   else ladder.windows_named($2::text[], ladder.schedules_merge(b.id, b.schedules, $16::text[])) end,
                                                              coalesce($12::text[], b.facets), 1)))
    returning b.*, before.facet_ids as old_facet_ids
),
told as (
    insert into ladder.edge_purge (game, board)
    select g.name, changed.name
    from changed
    join ladder.game g on g.id = changed.game_id
),
dropped as (
    insert into ladder.facet_drop (facet_id, board_id)
    select x.id, changed.id
    from changed
    cross join unnest(changed.old_facet_ids) as x (id)
    where x.id <> all (changed.facet_ids)
)
select changed.id, changed.game_id, changed.name, changed.ordering, changed.operator, changed.tie,
       array_to_string(changed.windows, ',') as windows, changed.time_zone, changed.score_min, changed.score_max, changed.is_public,
       ladder.us_of(changed.created_at) as created_us, ladder.us_of(changed.updated_at) as updated_us, changed.max_staleness_ms,
       changed.max_age_s, changed.stale_while_revalidate_s, changed.stale_if_error_s, changed.edge_max_age_s,
       array_to_string(changed.facets, ',') as facets, array_to_string(changed.facet_ids, ',') as facet_ids, changed.facet_values_max,
       changed.synchronous_commit, array_to_string(changed.schedules, E'\n') as schedules
from changed
